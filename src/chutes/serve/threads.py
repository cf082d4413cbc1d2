"""The threads in which synchronous user code runs."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["Threads"]

T = TypeVar("T")
_END = object()


class Threads:
    """A pool of named threads, started as they are needed.

    Args:
        size: threads at most; as many as calls may run at once.
        name: prefix of the threads' names.
    """

    def __init__(self, size: int, name: str) -> None:
        self.busy = 0
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

        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=self._size, thread_name_prefix=self.name)
        self.busy += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, call)
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                await asyncio.wait([future])
                if not future.cancelled():
                    future.exception()
                raise
        finally:
            self.busy -= 1

    async def iterate(self, source: Iterator[T]) -> AsyncGenerator[T, None]:
        """The items of a synchronous iterator, each made in a thread; it is closed there too."""
        try:
            while (item := await self.run(next, source, _END)) is not _END:
                yield item
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                await self.run(close)

    def shutdown(self) -> None:
        """End the threads; those that are busy go on until they are done."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
