"""One call of a batched cord, the calls of one batch, and what came of them."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

__all__ = ["Item", "Items", "Outcome"]


@dataclass(slots=True, eq=False)
class Item:
    """One call: its arguments, and who waits for its result.

    Attributes:
        size: what it counts in its batch.
        since: when it came, and `begun` when its batch began, by the monotonic clock.
        span: of its request, where traces are made.
    """

    positional: tuple[Any, ...]
    named: dict[str, Any]
    size: float
    since: float
    request_id: str | None
    span: "SpanContext | None"
    done: "asyncio.Future[Outcome]"
    begun: float = 0.0
    batch: "Items | None" = None


@dataclass(slots=True, eq=False)
class Items:
    """The calls of one batch.

    Attributes:
        task: runs the function, where it can be cancelled.
        wanted: clients that are still there.
    """

    items: list[Item]
    task: "asyncio.Future[Any] | None" = None
    wanted: int = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = len(self.items)
        for item in self.items:
            item.batch = self


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, or the error in its place as it was when it was raised."""

    value: Any = None
    error: BaseException | None = None
    traceback: TracebackType | None = None
