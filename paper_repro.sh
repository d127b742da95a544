#!/usr/bin/env bash
# Reproduce everything: make the Python environment if needed, run the notebooks, print which claims hold.
#
#   ./paper_repro.sh                    the quick profile, some minutes
#   ./paper_repro.sh --profile paper    the full run
#   ./paper_repro.sh --help             all options
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tools/environment.sh .venv llm
exec .venv/bin/pgtheory reproduce "$@"
