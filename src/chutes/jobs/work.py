"""A transaction on its way from somebody's event loop to the thread of a database, and back."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chutes.errors import StoreError
from chutes.jobs.database import Row, Step

__all__ = ["Work", "answer"]


@dataclass(slots=True, eq=False)
class Work:
    """One transaction that somebody waits for.

    Attributes:
        steps: what it consists of.
        write: it changes something.
        loop: where somebody waits.
        done: what they wait for.
        rows: of each step, once it is done.
        error: why it failed.
    """

    steps: tuple[Step, ...]
    write: bool
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[list[list[Row]]]"
    rows: list[list[Row]] = field(default_factory=list)
    error: Exception | None = None

    @classmethod
    def of(cls, steps: tuple[Step, ...], *, write: bool) -> "Work":
        """For the running event loop."""
        loop = asyncio.get_running_loop()
        return cls(steps, write, loop, loop.create_future())


def answer(works: Iterable[Work], explain: Callable[[Exception], StoreError]) -> None:
    """Tell those who wait, with one hop for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Work]] = {}
    for work in works:
        by_loop.setdefault(work.loop, []).append(work)
    for loop, mine in by_loop.items():
        # A loop that was closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, mine, explain)


def _settle(works: list[Work], explain: Callable[[Exception], StoreError]) -> None:
    for work in works:
        if work.done.done():
            continue
        if work.error is None:
            work.done.set_result(work.rows)
        else:
            error = explain(work.error)
            error.__cause__ = None if error is work.error else work.error
            work.done.set_exception(error)
