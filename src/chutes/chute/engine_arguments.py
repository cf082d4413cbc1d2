"""What a user writes as `engine_args` → the words of a command line."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeGuard

from chutes.errors import DefinitionError

__all__ = ["EngineArguments", "engine_words", "take_served_names"]

EngineArguments = str | Iterable[str | int | float] | Mapping[str, object] | None

_SERVED_NAME = "--served-model-name"
# What the chute says itself, or what would part the engine from it.
_OURS = {
    "--model": "Write model_name=.",
    "--model-path": "Write model_name=.",
    "--revision": "Write revision=.",
    "--host": "The engine listens on 127.0.0.1; `chutes run --host` says where the chute does.",
    "--port": "The chute finds a free one; `chutes run --port` says where the chute listens.",
    "--api-key": "Write the chute's keys into CHUTES_API_KEYS: the engine answers the chute alone.",
}


def engine_words(given: EngineArguments, engine: str) -> tuple[str, ...]:
    """The words of the command line that `engine_args` stands for.

    A dict has one entry for each option: `{"max_model_len": 4096, "enforce_eager": True}` is
    `--max-model-len 4096 --enforce-eager`. None leaves an option out; a list gives it several values, a dict one of
    JSON. False leaves it out too, save for vLLM, which has a `--no-…` for each switch.

    Raises:
        DefinitionError: it cannot be read, or names an option that is the chute's own.
    """
    if given is None:
        return ()
    words = tuple(_words(given, engine))
    for word in words:
        option, _, _ = word.partition("=")
        if option in _OURS:
            raise DefinitionError(f"engine_args cannot have {option}. {_OURS[option]}")
    return words


def take_served_names(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names behind `--served-model-name`, and the words without it."""
    names: list[str] = []
    others: list[str] = []
    taking = False
    for word in words:
        option, equals, value = word.partition("=")
        if option == _SERVED_NAME:
            taking = not equals
            names += [value] if equals else []
        elif taking and not word.startswith("--"):
            names.append(word)
        else:
            taking = False
            others.append(word)
    return tuple(names), tuple(others)


def _words(given: EngineArguments, engine: str) -> Iterator[str]:
    if isinstance(given, str):
        yield from _split(given)
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield from _option(name, value, engine)
    elif isinstance(given, Iterable) and not isinstance(given, bytes):
        for word in given:
            if not _is_word(word):
                raise DefinitionError(
                    f"Invalid {word!r} in engine_args. A list has the words of the command line, for example "
                    "['--max-model-len', 4096, '--enforce-eager']."
                )
            yield str(word)
    else:
        raise DefinitionError(
            f"Invalid engine_args {given!r}. Write a dict such as {{'max_model_len': 4096}}, a list of words, or one string "
            "as on the command line."
        )


def _split(line: str) -> list[str]:
    try:
        # A shell passes over a line's end behind a backslash, which shlex keeps.
        return shlex.split(line.replace("\\\n", " "))
    except ValueError as error:
        raise DefinitionError(
            f"Invalid engine_args {line!r}: {str(error).lower()}. Write it as on the command line, with JSON in single quotes: "
            """--limit-mm-per-prompt '{"image": 2}'."""
        ) from None


def _option(name: object, value: object, engine: str) -> Iterator[str]:
    if not isinstance(name, str) or not name.strip("-_ "):
        raise DefinitionError(
            f"Invalid option {name!r} in engine_args. Write its name, for example 'max_model_len'."
        )
    option = "--" + name.strip().lstrip("-").replace("_", "-")
    if value is None or (value is False and engine != "vllm"):
        return
    if value is False:
        yield "--no-" + option.removeprefix("--")
        return
    yield option
    if isinstance(value, list | tuple):
        for one in value:
            yield _value(name, one)
    elif value is not True:
        yield _value(name, value)


def _value(name: str, value: object) -> str:
    if _is_word(value):
        return str(value)
    if isinstance(value, Mapping):
        try:
            return json.dumps(dict(value))
        except (TypeError, ValueError):
            pass
    raise DefinitionError(
        f"Invalid value {value!r} of {name!r} in engine_args. It takes text, a number, True, a list of these, or a dict for JSON."
    )


def _is_word(value: object) -> TypeGuard[str | int | float]:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
