"""The threads in which synchronous user code runs."""

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, Self, TypeVar

__all__ = ["ThreadItems", "Threads", "outlast"]

T = TypeVar("T")
_END = object()
_ITEMS_AHEAD = 8
_BYTES_AHEAD = 65536
_BULKY = (str, bytes, bytearray, memoryview)


class Threads:
    """A pool of named threads, started as they are needed.

    Args:
        size: threads at most; as many as calls may run at once.
        name: prefix of the threads' names.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self.name = name
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
        """Call `function` in a thread, with the caller's context variables.

        A cancelled wait does not end the call: it waits until the thread is done, then is cancelled.
        """
        context = contextvars.copy_context()

        def call() -> T:
            try:
                return context.run(function, *arguments, **named)
            except StopIteration as error:
                # A future cannot carry StopIteration; a coroutine could not raise it either.
                raise RuntimeError("The function raised StopIteration.") from error

        return await outlast(self.start(call))

    def start(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        """Call in a thread without waiting for it."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=self._size, thread_name_prefix=self.name)
        return asyncio.get_running_loop().run_in_executor(self._pool, call)

    def iterate(self, source: Iterator[T]) -> "ThreadItems[T]":
        """The items of a synchronous iterator, made in one thread, and a few ahead of who takes them."""
        return ThreadItems(self, source)

    def shutdown(self) -> None:
        """End the threads; those that are busy go on until they are done."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


class ThreadItems(Generic[T]):
    """An iterator that one thread reads for the event loop.

    While the loop is busy with the last items the thread makes the next ones, a few of them: a fast generator would
    otherwise wait for a switch between threads with each item. Whoever reads slowly holds the thread up.

    Args:
        threads: one of them is taken from the first item to the last.
        source: read, and closed, in that thread, in one context.
    """

    def __init__(self, threads: Threads, source: Iterator[T]) -> None:
        self._threads = threads
        self._source = source
        self._taken: deque[T] = deque()
        self._thread: asyncio.Future[None] | None = None
        # Between the threads: what follows is read and changed under the lock only.
        self._changed = threading.Condition()
        self._made: deque[T] = deque()
        self._bytes = 0
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> T:
        """The next item, once it is made.

        Raises:
            BaseException: what the source raised.
        """
        while not self._taken:
            if self._thread is None:
                self._thread = self._threads.start(partial(contextvars.copy_context().run, self._read))
            with self._changed:
                if self._made:
                    self._taken, self._made, self._bytes = self._made, self._taken, 0
                    self._changed.notify()
                    break
                if self._ended:
                    self._raise()
                    raise StopAsyncIteration
                reader = self._reader = asyncio.get_running_loop().create_future()
            await reader
        return self._taken.popleft()

    async def aclose(self) -> None:
        """Begin no further item, and close the source; waits until the thread is done with both.

        Raises:
            BaseException: what the source raised meanwhile.
        """
        if self._thread is None:
            self._closed = True
            self._thread = self._threads.start(partial(contextvars.copy_context().run, self._read))
        with self._changed:
            self._closed = True
            self._changed.notify()
        await outlast(self._thread)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _read(self) -> None:
        """What the thread does."""
        error: BaseException | None = None
        try:
            try:
                while not self._closed and (item := next(self._source, _END)) is not _END:
                    self._put(item)
            finally:
                close = getattr(self._source, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:  # noqa: BLE001 - whoever takes the items gets it
            error = caught
        with self._changed:
            self._error, self._ended = error, True
            self._wake_reader()

    def _put(self, item: Any) -> None:
        with self._changed:
            self._made.append(item)
            self._bytes += len(item) if isinstance(item, _BULKY) else 0
            self._wake_reader()
            while not self._closed and (len(self._made) >= _ITEMS_AHEAD or self._bytes >= _BYTES_AHEAD):
                self._changed.wait()

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            # A loop that is closed by now has no reader any more.
            with contextlib.suppress(RuntimeError):
                reader.get_loop().call_soon_threadsafe(_wake, reader)


async def outlast(call: "asyncio.Future[T]") -> T:
    """Wait for a call in a thread; a wait that is cancelled lasts until the thread is done all the same."""
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()
        raise


def _wake(reader: "asyncio.Future[None]") -> None:
    if not reader.done():
        reader.set_result(None)
