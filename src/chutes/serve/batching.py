"""Calls of one cord that come at the same time → batches, each given to the function as lists.

A batch takes one of the chute's slots. The function of a synchronous cord runs in a thread, which takes the next full batch
itself as soon as it is done with one: a round trip over the event loop would leave the model idle in between.
"""

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from chutes.chute.batch import Batch
from chutes.errors import BatchError, DeadlineUnreachable
from chutes.serve.admission import Admission, Pace, refuse
from chutes.serve.items import Item, Items, Outcome
from chutes.serve.logs import current_request_id
from chutes.serve.metrics import CordMeter
from chutes.serve.threads import Threads

if TYPE_CHECKING:
    from chutes.serve.tracing import Tracing

__all__ = ["Batcher"]

_LAST_BATCH_SECONDS = 2.0


class Batcher:
    """The queue of one batched cord, and what empties it.

    Args:
        batch: how calls are put together.
        call: the user's function with the chute bound: lists in, a list out.
        name: the cord's.
        admission: whose slots the batches take.
        threads: where a synchronous function runs.
        meter: of the cord.
        max_queue: items that wait, at most, unless `batch` says how many.
        tracing: makes a span of each batch; None makes none.
    """

    def __init__(
        self,
        batch: Batch,
        call: Callable[..., Any],
        *,
        name: str,
        admission: Admission,
        threads: Threads,
        meter: CordMeter,
        max_queue: int,
        tracing: "Tracing | None" = None,
    ) -> None:
        self.tracing = tracing
        self._batch = batch
        self._call = call
        self._name = name
        self._admission = admission
        self._threads = threads
        self._meter = meter
        self._in_thread = not inspect.iscoroutinefunction(call)
        self._order = tuple(inspect.signature(call).parameters)
        full = batch.max_size if batch.size_of is None else 1
        self.max_queue = batch.max_queue if batch.max_queue is not None else max(max_queue, 2 * full)
        # The thread that runs the function takes items too.
        self._lock = threading.Lock()
        self._items: deque[Item] = deque()
        self._size = 0.0
        self._running = 0
        self._opening = False
        self._workers: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._callers = 0
        self._free_since = 0.0
        self.pace = Pace()
        self._closed = False
        meter.waiting = self._items.__len__

    def check(self) -> None:
        """Refuse an item that would find the queue full.

        Raises:
            QueueFull: as many items wait as may.
        """
        if len(self._items) >= self.max_queue:
            raise refuse(f"The chute is busy: {len(self._items)} items wait.", self.expected_wait())

    def enter(self, timeout: float | None = None) -> None:
        """Refuse an item that has no place, or whose turn would come after its deadline; the batch takes the slot.

        Raises:
            QueueFull: its `Retry-After` says when to come again.
        """
        self.check()
        if timeout is not None and (wait := self.expected_wait()) > timeout:
            text = f"The chute is busy: this call would begin after its timeout of {timeout:g} s."
            raise refuse(text, wait - timeout, DeadlineUnreachable)

    def expected_wait(self) -> float:
        """Seconds until an item that came now would be given to the function; 0 before anything was measured."""
        if self.pace.seconds is None or not (self._items or self._running):
            return 0.0
        before = self._running + self._size / self._batch.max_size
        return before * self.pace.seconds / self._admission.concurrency

    async def submit(self, *positional: Any, **named: Any) -> Any:
        """The result for one item.

        Raises:
            HTTPException: the chute stopped first: 503 before the function was called, 500 afterwards.
            Exception: what the function raised, or returned in the place of this item's result.
        """
        if self._closed:
            raise _stopped()
        size = 1.0 if self._batch.size_of is None else self._measured(positional, named)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        span = None if self.tracing is None else self.tracing.here()
        item = Item(positional, named, size, time.monotonic(), current_request_id.get(), span, done)
        with self._lock:
            self._items.append(item)
            self._size += size
        self._decide()
        try:
            outcome = await done
        except asyncio.CancelledError:
            self._give_up(item)
            raise
        if outcome.error is not None:
            # One error may be that of many items: each raises it as it was, not with the frames of the others.
            raise outcome.error.with_traceback(outcome.traceback)
        return outcome.value

    async def close(self) -> None:
        """Answer everybody who still waits, and end what runs; the chute stops."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for worker in tuple(self._workers):
            worker.cancel()
        if self._workers:
            # A thread cannot be stopped.
            await asyncio.wait(self._workers, timeout=_LAST_BATCH_SECONDS)
        while left := self._next():
            self._deliver(left, Outcome(error=_stopped()))
        self._closed, self._timer = False, None

    def _measured(self, positional: tuple[Any, ...], named: dict[str, Any]) -> float:
        assert self._batch.size_of is not None  # noqa: S101 - the caller's condition
        size: object = self._batch.size_of(
            *positional, *(named[name] for name in self._order if name in named)
        )
        if isinstance(size, bool) or not isinstance(size, int | float) or not size >= 0:
            raise BatchError(
                f"size_of of cord {self._name!r} returned {size!r}. It returns a number, 0 or more: the size of one item."
            )
        return size

    def _give_up(self, item: Item) -> None:
        """The client of `item` left: it goes no further, nor does a batch that nobody waits for."""
        if item.batch is None:
            with self._lock:
                if item in self._items:
                    self._items.remove(item)
                    self._size -= item.size
            return
        item.batch.wanted -= 1
        if item.batch.wanted == 0 and item.batch.task is not None:
            item.batch.task.cancel()

    @property
    def _is_full(self) -> bool:
        return self._size >= self._batch.max_size

    def _decide(self) -> None:
        """Begin a batch now, or when it is time."""
        if self._closed or self._opening or not self._items or self._running >= self._admission.concurrency:
            return
        loop = asyncio.get_running_loop()
        wait = self._wait()
        if wait <= 0:
            self._opening = True
            worker = loop.create_task(self._work(), name=f"batches of {self._name}")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        elif self._timer is None:
            self._timer = loop.call_later(wait, self._on_timer)

    def _wait(self) -> float:
        """Seconds for which it is worth to wait for more items."""
        if self._is_full:
            return 0.0
        patience, now = self._batch.max_wait, time.monotonic()
        if self._running:
            # Another slot is taken only for a full batch, or for items that have waited long enough.
            with self._lock:
                return self._items[0].since + patience - now if self._items else patience
        if len(self._items) >= self._callers:
            return 0.0
        return self._free_since + patience - now

    def _on_timer(self) -> None:
        self._timer = None
        self._decide()

    async def _work(self) -> None:
        """Give batches to the function, in one slot, as long as full ones wait and nobody else needs the slot."""
        place = self._admission.place()
        place.measured = False
        try:
            await place.start()
        except BaseException:
            self._opening = False
            place.leave()
            raise
        self._opening = False
        self._running += 1
        try:
            batch = self._next()
            # Others may begin another batch with what is left, where there is another slot.
            self._decide()
            while batch is not None:
                batch = await (self._in_one_thread(batch) if self._in_thread else self._on_the_loop(batch))
        finally:
            self._running -= 1
            place.leave()
            self._decide()

    async def _in_one_thread(self, batch: Items) -> None:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def pull() -> None:
            todo: Items | None = batch
            while todo is not None:
                begun = time.monotonic()
                outcome = context.run(self._called, todo, loop)
                loop.call_soon_threadsafe(self._finish, todo, outcome, time.monotonic() - begun)
                todo = self._next() if self._may_go_on else None

        await self._threads.run(pull)

    async def _on_the_loop(self, batch: Items) -> Items | None:
        begun = time.monotonic()
        batch.task = asyncio.ensure_future(self._awaited(batch))
        try:
            outcome = await batch.task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                batch.task.cancel()
                self._finish(batch, Outcome(error=_cut_off()), 0.0)
                raise
            outcome = Outcome(error=self._failure(asyncio.CancelledError()))
        self._finish(batch, outcome, time.monotonic() - begun)
        return self._next() if self._may_go_on else None

    @property
    def _may_go_on(self) -> bool:
        return self._is_full and not self._closed and self._admission.queued <= self._opening

    def _next(self) -> Items | None:
        """The next batch; None when nobody waits any more."""
        items = self._take()
        return Items(items) if items else None

    def _take(self) -> list[Item]:
        taken: list[Item] = []
        size, now = 0.0, time.monotonic()
        with self._lock:
            while self._items:
                item = self._items[0]
                if taken and size + item.size > self._batch.max_size:
                    break
                self._items.popleft()
                self._size -= item.size
                if not item.done.done():
                    item.begun = now
                    taken.append(item)
                    size += item.size
        return taken

    def _called(self, batch: Items, loop: asyncio.AbstractEventLoop) -> Outcome:
        """Run a synchronous function, in its thread."""
        try:
            with self._span(batch):
                returned = self._start(batch)
                if inspect.isawaitable(returned):
                    # A decorator may hide that the function is a coroutine's.
                    returned = asyncio.run_coroutine_threadsafe(_awaited(returned), loop).result()
                return Outcome(value=self._results(batch, returned))
        except BaseException as error:  # noqa: BLE001 - every client of the batch gets it
            return Outcome(error=self._failure(error), traceback=error.__traceback__)

    async def _awaited(self, batch: Items) -> Outcome:
        try:
            with self._span(batch):
                return Outcome(value=self._results(batch, await self._start(batch)))
        except Exception as error:  # noqa: BLE001 - every client of the batch gets it
            return Outcome(error=error, traceback=error.__traceback__)

    def _span(self, batch: Items) -> contextlib.AbstractContextManager[None]:
        if self.tracing is None:
            return contextlib.nullcontext()
        return self.tracing.batch(self._name, [item.span for item in batch.items if item.span is not None])

    def _failure(self, error: BaseException) -> BaseException:
        """The error as a client's call may raise it: one that ends a task, or the process, is none of its business."""
        if isinstance(error, Exception):
            return error
        failure = BatchError(f"Cord {self._name!r} raised {type(error).__name__} in a batch.")
        failure.__cause__ = error
        return failure

    def _start(self, batch: Items) -> Any:
        """Call the function with a list for each of its parameters."""
        items = batch.items
        current_request_id.set(",".join(item.request_id for item in items if item.request_id))
        positional = [list(values) for values in zip(*(item.positional for item in items), strict=True)]
        named = {name: [item.named[name] for item in items] for name in items[0].named}
        return self._call(*positional, **named)

    def _results(self, batch: Items, returned: Any) -> Sequence[Any]:
        wanted = len(batch.items)
        if isinstance(returned, str | bytes | dict) or not hasattr(returned, "__len__"):
            raise BatchError(
                f"Cord {self._name!r} was given a batch of {wanted} and returned {type(returned).__name__}. A batched cord "
                f"returns a list with one result for each item."
            )
        if len(returned) != wanted:
            raise BatchError(
                f"Cord {self._name!r} was given a batch of {wanted} and returned {len(returned)} results. A batched cord "
                f"returns a list with one result for each item, in their order; an exception in it fails its item alone."
            )
        return list(returned)

    def _finish(self, batch: Items, outcome: Outcome, seconds: float) -> None:
        """Answer the clients of a batch, on the event loop."""
        self.pace.note(seconds)
        self._admission.measure(seconds)
        self._meter.batched(len(batch.items))
        for item in batch.items:
            self._meter.queued(item.begun - item.since)
        self._callers, self._free_since = len(batch.items) + len(self._items), time.monotonic()
        self._deliver(batch, outcome)

    def _deliver(self, batch: Items, outcome: Outcome) -> None:
        for position, item in enumerate(batch.items):
            if item.done.done():
                continue
            if outcome.error is not None:
                item.done.set_result(outcome)
                continue
            value = outcome.value[position]
            if isinstance(value, BaseException):
                item.done.set_result(Outcome(error=self._failure(value), traceback=value.__traceback__))
            else:
                item.done.set_result(Outcome(value=value))


def _stopped() -> HTTPException:
    return HTTPException(503, "The chute stopped before this call began.", {"Retry-After": "1"})


def _cut_off() -> HTTPException:
    # Without Retry-After: clients take that for work that was not begun, and send it again.
    return HTTPException(500, "The chute stopped before this call was done.")


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
