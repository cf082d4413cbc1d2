"""The type hints of a user's function, evaluated where they were written."""

import contextlib
import inspect
import typing
from collections.abc import Callable
from typing import Any

from chutes.errors import DefinitionError
from chutes.loading.hints import import_line
from chutes.serve.annotations import usable

__all__ = ["read_hints"]


def read_hints(function: Callable[..., Any], owner: str) -> dict[str, Any]:
    """The type hints of a function, strings evaluated where they were written.

    Raises:
        DefinitionError: a name in a hint is not known there.
    """
    plain = inspect.unwrap(function)
    namespace = dict(getattr(plain, "__globals__", {}))
    cells = getattr(plain, "__closure__", None) or ()
    for name, cell in zip(plain.__code__.co_freevars if cells else (), cells, strict=True):
        # What the function names but its surroundings have not made yet is an empty cell.
        with contextlib.suppress(ValueError):
            namespace[name] = cell.cell_contents
    try:
        hints = typing.get_type_hints(plain, globalns=namespace, include_extras=True)
        return {name: usable(hint) for name, hint in hints.items()}
    except NameError as error:
        raise DefinitionError(
            f"A type hint of {owner} cannot be resolved: {error}. {_advice(error.name)}"
        ) from error
    except AttributeError as error:
        raise DefinitionError(f"A type hint of {owner} cannot be resolved: {error}.") from error


def _advice(name: str | None) -> str:
    line = import_line(name) if name else None
    return (
        f"Write `{line}` at the top of the module." if line else f"Define {name!r} at the top of the module."
    )
