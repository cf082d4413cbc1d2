"""How calls of a cord are put together into batches, as a frozen value."""

import inspect
import math
import typing
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from chutes.errors import DefinitionError

__all__ = ["Batch", "check_batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Gathers calls that come at the same time: the function gets a list for each parameter, and returns a list.

    Each client sends one item and gets one result. A model that has nothing to do is given what is there at once; while
    others call too, it waits up to `max_wait` for as many items as there were callers a moment ago.

    Args:
        max_size: items in a batch at most; with `size_of`, the sum of their sizes. An item that is larger goes alone.
        max_wait: seconds that a free model waits for a batch to fill, at most; 0 never waits.
        size_of: the size of an item (tokens, pixels, …), from its arguments in the order of the function's parameters.
        max_queue: items that wait, at most; those beyond get 503. Default: the chute's `max_queue`, or two full
            batches where that is more.

    Raises:
        DefinitionError: a value breaks its rule.

    Example:
        >>> Batch(max_size=4096, size_of=len).size_of("four")
        4
    """

    max_size: int = 32
    max_wait: float = 0.005
    _: KW_ONLY
    size_of: Callable[..., float] | None = None
    max_queue: int | None = None

    def __post_init__(self) -> None:
        _check_count("max_size", self.max_size, 32)
        if self.max_queue is not None:
            _check_count("max_queue", self.max_queue, 256)
        wait: object = self.max_wait
        if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait < math.inf:
            raise DefinitionError(
                f"Invalid max_wait {wait!r} of a Batch. It takes seconds, 0 or more, for example max_wait=0.005."
            )
        if self.size_of is not None and not callable(self.size_of):
            raise DefinitionError(
                f"Invalid size_of {self.size_of!r} of a Batch. It takes a function from an item to a number."
            )


def check_batch(batch: object, function: Callable[..., Any], *, stream: bool, passthrough: bool) -> None:
    """Raise `DefinitionError` unless calls of `function` can be put together as `batch` says."""
    name = function.__name__
    if not isinstance(batch, Batch):
        raise DefinitionError(
            f"Invalid batch {batch!r} for cord {name!r}. Write batch=Batch(max_size=32, max_wait=0.005)."
        )
    if stream or passthrough:
        other = "stream=True" if stream else "passthrough=True"
        raise DefinitionError(
            f"Cord {name!r} has both batch= and {other}: a batch has one result for each item. Leave one out."
        )
    parameters = list(inspect.signature(function).parameters.values())[1:]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if all(one.kind in variadic for one in parameters):
        raise DefinitionError(
            f"Cord {name!r} takes nothing that could be put into a batch. Give it a parameter: "
            f"`def {name}(self, texts: list[str])`."
        )
    for one in parameters:
        if one.kind not in variadic and _is_no_list(one.annotation):
            raise DefinitionError(
                f"Cord {name!r} gets a list for each parameter, but {one.name!r} is no list: write "
                f"`{one.name}: list[{inspect.formatannotation(one.annotation)}]`."
            )


def _is_no_list(annotation: Any) -> bool:
    """Whether an annotation surely names something that a list is not; one in quotes is looked at when serving."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _is_no_list(typing.get_args(annotation)[0])
    kind = typing.get_origin(annotation) or annotation
    return inspect.isclass(kind) and kind is not inspect.Parameter.empty and not issubclass(list, kind)


def _check_count(name: str, value: object, example: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DefinitionError(
            f"Invalid {name} {value!r} of a Batch. It takes a whole number, 1 or more, for example {name}={example}."
        )
