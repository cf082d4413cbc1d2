"""One engine's command line arguments in the words of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Translation", "translate"]

_CONTEXT = "context"
_CONCURRENCY = "concurrency"
# What is meant → how each engine says it. The first two become fields of a launch, since they depend on each other.
_MEANINGS: Mapping[str, Mapping[str, str]] = {
    _CONTEXT: {"vllm": "--max-model-len", "sglang": "--context-length"},
    _CONCURRENCY: {"vllm": "--max-num-seqs", "sglang": "--max-running-requests", "llamacpp": "--parallel"},
    "numbers": {"vllm": "--dtype", "sglang": "--dtype", "transformers": "--dtype"},
    "seed": {"vllm": "--seed", "sglang": "--random-seed", "transformers": "--default-seed"},
    "template": {"vllm": "--chat-template", "sglang": "--chat-template", "llamacpp": "--chat-template"},
    "code": {"vllm": "--trust-remote-code", "sglang": "--trust-remote-code", "transformers": "--trust-remote-code"},
    "share": {"vllm": "--gpu-memory-utilization", "sglang": "--mem-fraction-static", "transformers": "--cb-max-memory-percent"},
}  # fmt: skip
_SWITCHES = frozenset({"--trust-remote-code"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """Arguments as another engine takes them.

    Attributes:
        arguments: in its words.
        left_out: flags that it has no word for, as they were written.
        context: tokens that a request may have, when the arguments say so.
        concurrency: requests at once, when the arguments say so.
    """

    arguments: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    context: int | None = None
    concurrency: int | None = None


def translate(arguments: Sequence[str], written_for: str, engine: str) -> Translation:
    """Say `arguments`, written for one engine, in the words of `engine`.

    >>> translate(["--max-model-len", "8192", "--kv-cache-dtype=fp8"], "vllm", "llamacpp")
    Translation(arguments=(), left_out=('--kv-cache-dtype',), context=8192, concurrency=None)
    """
    if written_for == engine:
        return Translation(arguments=tuple(arguments))
    meanings = {words[written_for]: meaning for meaning, words in _MEANINGS.items() if written_for in words}
    said: list[str] = []
    left_out: list[str] = []
    numbers: dict[str, int] = {}
    for flag, values in _flags(arguments):
        meaning = meanings.get(flag, "")
        word = _MEANINGS.get(meaning, {}).get(engine)
        if meaning in {_CONTEXT, _CONCURRENCY} and values and values[0].isdigit():
            numbers[meaning] = int(values[0])
        elif word is not None:
            said += [word, *values]
        else:
            left_out.append(flag)
    return Translation(
        arguments=tuple(said),
        left_out=tuple(left_out),
        context=numbers.get(_CONTEXT),
        concurrency=numbers.get(_CONCURRENCY),
    )


def _flags(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each flag with its values; engines take `_` for `-` in a flag."""
    flags: list[tuple[str, list[str]]] = []
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            flags.append((name.replace("_", "-"), [value] if equals else []))
        elif flags and flags[-1][0] not in _SWITCHES:
            flags[-1][1].append(argument)
        else:
            flags.append((argument, []))
    return flags
