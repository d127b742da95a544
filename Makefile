.DEFAULT_GOAL := help
.PHONY: help test lint lab repro bench mutants clean

python := .venv/bin/python

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test:  ## run the tests on all cores
	@tools/environment.sh .venv dev llm
	@# a worker a core, and one thread in each
	OMP_NUM_THREADS=1 $(python) -m pytest --numprocesses logical --dist loadfile

lint:  ## check style and types
	@tools/environment.sh .venv dev llm
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy

lab:  ## open the notebooks in JupyterLab
	@tools/environment.sh .venv llm
	cd notebooks && ../$(python) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root)

repro:  ## run all notebooks (quick profile); ./paper_repro.sh --help for more
	./paper_repro.sh

bench:  ## time this library beside its peers, in an environment of their own
	@tools/environment.sh .venv-bench bench llm
	@set -e; for script in bench/*.py; do echo "== $$script"; .venv-bench/bin/python $$script; done

mutants:  ## break the code in known places; the tests must notice every one
	@tools/environment.sh .venv dev llm
	$(python) tests/mutants.py

clean:  ## remove environments, caches and what a reproduction leaves besides the figures
	rm -rf .venv .venv-bench build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	rm -rf figures/.state figures/notebooks figures/index.html
	find . -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
