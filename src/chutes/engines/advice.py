"""What to do about an engine that did not start, from what it said."""

import re
from collections.abc import Iterable

__all__ = ["advice"]

# Some programs draw a box around their errors.
_FRAME = " \t│"
_ADVICE = (
    (
        r"out of memory|OutOfMemory|No available memory for the cache|failed to allocate"
        r"|is larger than the maximum number of tokens|larger than the available KV cache",
        "The model does not fit into the memory: take a smaller or a quantised one, or a smaller context and concurrency, for "
        "example engine_args={'max_model_len': 4096}.",
    ),
    (
        r"unrecognized argument|validation errors? for \w*Config|invalid choice|error: argument|No such option|Invalid value for"
        r"|expected (?:one|at least one) argument",
        "Correct the engine's arguments: engine_args takes them as the engine's own command line does.",
    ),
    (
        r"does not recognize this architecture|are not supported for now|unknown model architecture|Unrecognized model"
        r"|has no vLLM implementation",
        "The engine does not know the model's architecture: upgrade the engine, or take another one with engine=.",
    ),
    (
        r"invalid magic|tensor .* is not within the file bounds|SafetensorError|HeaderTooLarge|InvalidHeader"
        r"|Error while deserializing|failed to load model|failed to read",
        "The model's files cannot be read: they may be damaged, or not be completely there. Fetch them again.",
    ),
    (
        r"No module named|ModuleNotFoundError|PackageNotFoundError|libcud\w*|undefined symbol|cannot open shared object",
        "The engine's installation is not whole. Install it anew into an environment of its own, and name that environment's "
        "interpreter with engine_python=.",
    ),
)  # fmt: skip


def advice(lines: Iterable[str]) -> str:
    """The line that tells most, and the next thing to try; nothing when no line gives a hint."""
    for line in lines:
        for pattern, said in _ADVICE:
            if re.search(pattern, line, re.IGNORECASE):
                return f"It said: {line.strip(_FRAME)}\n{said}"
    return ""
