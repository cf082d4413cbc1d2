#!/usr/bin/env bash
# Makes the environment of the tests of Ray, once: Ray Serve, and this checkout, editable. Prints its interpreter.
# It stands in ${CHUTES_TEST_RAY:-${XDG_CACHE_HOME:-~/.cache}/chutes-ci/ray}, outside of any checkout, and is made anew
# when a version below, the interpreter or the project's dependencies change.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
folder=${CHUTES_TEST_RAY:-${XDG_CACHE_HOME:-$HOME/.cache}/chutes-ci/ray}

# The version that the tests have passed with. asyncpg: jobs of several replicas are kept in a PostgreSQL.
packages=("ray[serve]==2.60.0" "asyncpg>=0.30")

make_it() {
    local recipe
    recipe=$(printf '%s\n' "${packages[@]}"; python3 -VV; sed -n '/^dependencies = \[/,/^\]/p' "$root/pyproject.toml")
    if [ "$(cat "$folder/recipe" 2>/dev/null)" != "$recipe" ]; then
        echo "Making the environment $folder (once)" >&2
        rm -rf "$folder"
        bash "$here/venv.sh" "$folder" >&2
        "$folder/bin/python" -m pip install -qq "${packages[@]}" --editable "$root" >&2
        printf '%s\n' "$recipe" >"$folder/recipe"
        printf '%s\n' "$root" >"$folder/checkout"
    elif [ "$(cat "$folder/checkout" 2>/dev/null)" != "$root" ]; then
        # Another checkout made it: its dependencies are the same.
        "$folder/bin/python" -m pip install -qq --no-deps --editable "$root" >&2
        printf '%s\n' "$root" >"$folder/checkout"
    fi
}

mkdir -p "$(dirname "$folder")"
# Two runs at once: the second waits, and finds it made.
(flock 9 && make_it) 9>"$folder.lock"
echo "$folder/bin/python"
