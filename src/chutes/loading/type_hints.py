"""The type hints of a user's function, evaluated where they were written."""

import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, NotRequired, get_args, get_origin

from typing_extensions import TypedDict

from chutes.errors import DefinitionError
from chutes.loading.hints import import_line

__all__ = ["read_hints", "usable"]


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


def usable(hint: Any) -> Any:
    """The hint with every `typing.TypedDict` in it as one that pydantic takes: before Python 3.12 it refuses them."""
    if sys.version_info >= (3, 12):
        return hint
    if typing.is_typeddict(hint):
        return _extended(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[usable(arguments[0]), *hint.__metadata__]
    changed = tuple(usable(one) for one in arguments)
    if changed == arguments:
        return hint
    if origin in (typing.Union, types.UnionType):
        return typing.Union[changed]  # noqa: UP007 - made at run time
    return origin[changed]


@cache
def _extended(record: Any) -> Any:
    """The same record, made by `typing_extensions`; one class for one, so that hints stay equal."""
    hints = typing.get_type_hints(record)
    optional = record.__optional_keys__
    return TypedDict(  # type: ignore[operator] # the functional form, with fields that are known at run time
        record.__name__,
        {
            name: NotRequired[usable(hint)] if name in optional else usable(hint)
            for name, hint in hints.items()
        },
    )
