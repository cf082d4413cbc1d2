#!/usr/bin/env bash
# Makes the virtual environment FOLDER with a pip that knows dependency groups: .ci/venv.sh FOLDER
# PYTHON names the interpreter; without it the first Python 3.11 or newer on the path is taken.
set -euo pipefail

folder=$1

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14 python}; do
        if "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or newer was found. Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2
    return 1
}

make_venv() {
    local python=$1
    "$python" -m venv --clear "$folder" >/dev/null 2>&1 && return
    # Debian keeps ensurepip in a package of its own; a pip outside can put one inside all the same.
    "$python" -m venv --clear --without-pip "$folder" &&
        "$python" -m pip --python "$folder/bin/python" install -qq pip 2>/dev/null && return
    rm -rf "$folder"
    echo "$python cannot make a virtual environment: its venv or ensurepip module is missing." >&2
    echo "On Debian and Ubuntu: apt-get install python3-venv. Then run the same command again." >&2
    return 1
}

python=$(find_python)
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    make_venv "$python"
fi
"$folder/bin/python" -m pip install -qq --upgrade "pip>=25.1"
