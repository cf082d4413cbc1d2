"""The last lines of an engine that failed lead to the next thing to try."""

import pytest

from chutes.engines.advice import advice


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "does not fit into the memory"),
        ("api_server.py: error: unrecognized arguments: --nope", "Correct the engine's arguments"),
        ("ValueError: Model architectures ['X'] are not supported for now", "does not know the model's architecture"),
        ("gguf_init_from_file_ptr: invalid magic characters: 'GGXX'", "cannot be read"),
        ("ModuleNotFoundError: No module named 'torch'", "installation is not whole"),
        ("something else", ""),
    ],
)  # fmt: skip
def test_what_it_said_is_understood(line, what):
    said = advice(["first", f"│ {line} │", "last"])
    assert said == "" if not what else said.startswith(f"It said: {line}\n") and what in said
