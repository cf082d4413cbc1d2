"""The type hints of a cord's function, as one client sees them."""

import inspect
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, get_args, get_origin

from chutes.chute.cord import Cord
from chutes.errors import DefinitionError
from chutes.loading.type_hints import read_hints

__all__ = ["cord_hints"]

_NO_LIST = object()
_LISTS = (list, Sequence, Iterable, Collection)


def cord_hints(cord: Cord) -> dict[str, Any]:
    """The type hints of a cord's function as one client sees them: of a batched one, those of one item.

    Raises:
        DefinitionError: a name in a hint is not known, or a parameter of a batched cord is no list.
    """
    hints = read_hints(cord.function, f"cord {cord.name!r}")
    if cord.batch is None:
        return hints
    items: dict[str, Any] = {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    chute, *parameters = inspect.signature(cord.function).parameters.values()
    unlisted = {chute.name, *(one.name for one in parameters if one.kind in variadic)}
    for name, hint in hints.items():
        if name in unlisted:
            continue
        item = _item(hint)
        if item is not _NO_LIST:
            items[name] = item
        elif name != "return":
            raise DefinitionError(
                f"Cord {cord.name!r} gets a list for each parameter, but {name!r} is no list: write "
                f"`{name}: list[{inspect.formatannotation(hint)}]`."
            )
    return items


def _item(hint: Any) -> Any:
    """What a list of this type holds; what is said of the list in `Annotated` is said of the item."""
    if get_origin(hint) is Annotated:
        inner = _item(get_args(hint)[0])
        return inner if inner is _NO_LIST else Annotated[inner, *hint.__metadata__]
    if hint in (Any, *_LISTS):
        return Any
    arguments = get_args(hint)
    return arguments[0] if get_origin(hint) in _LISTS and len(arguments) == 1 else _NO_LIST
