"""An event loop on a thread of its own, for tests that are not asynchronous."""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from chutes.errors import ClientNotOpen

__all__ = ["LoopBlocked", "LoopThread"]

_logger = logging.getLogger("chutes.testing")

P = ParamSpec("P")
T = TypeVar("T")

# A busy machine may keep a healthy loop waiting for this long.
_LEAST_PATIENCE = 0.5
_JOIN_TIMEOUT = 5.0


class LoopBlocked(Exception):  # noqa: N818 - named for the condition
    """The event loop runs nothing, because a coroutine on it blocks."""


class LoopThread:
    """An event loop on a daemon thread; its methods may be called from every other thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="chutes-test-client", daemon=True)
        self._ready = threading.Event()

    def start(self) -> None:
        """Start the loop; returns when it runs."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """End the loop, with every task that is left on it."""
        self.call_soon(self._stopping.set)
        self._loop = None
        self._thread.join(_JOIN_TIMEOUT)
        if self._thread.is_alive():
            # It is a daemon, so that the program can end all the same.
            _logger.warning(
                "The application still runs %s s after its end: something in it blocks.", _JOIN_TIMEOUT
            )

    def call(
        self,
        patience: float | None,
        function: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The result of `await function(...)` on the loop.

        Args:
            patience: seconds without a result after which the loop has to prove that it is not blocked; None
                asks for no proof. A limit to the call itself is the function's own affair.
            function: what to call.
            *args: its arguments.
            **kwargs: its arguments.

        Raises:
            ClientNotOpen: the loop does not run.
            LoopBlocked: the loop is blocked.
            BaseException: whatever the function raises.
        """
        loop = self._loop
        if loop is None:
            raise ClientNotOpen(
                "The client is not open. Write `with TestClient(chute) as client:` and use it inside."
            )
        if patience is not None:
            patience = max(patience, _LEAST_PATIENCE)
        settling = asyncio.run_coroutine_threadsafe(_settle(function(*args, **kwargs)), loop)
        try:
            while not concurrent.futures.wait([settling], patience).done:
                _check_alive(loop, patience)
            return settling.result().result()
        except BaseException:
            settling.cancel()
            raise

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop, without waiting; nothing happens when the loop does not run."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function)

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._run_until_stopped())

    async def _run_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._stopping.wait()


async def _settle(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """The outcome of `coroutine`, its exception untouched: asyncio makes copies of some, and dies of others."""
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    try:
        outcome.set_result(await coroutine)
    except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
        outcome.set_exception(error)
    return outcome


def _check_alive(loop: asyncio.AbstractEventLoop, patience: float | None) -> None:
    alive = threading.Event()
    loop.call_soon_threadsafe(alive.set)
    if not alive.wait(patience):
        raise LoopBlocked(
            "The application blocks its event loop: a coroutine on it calls something that does not await."
        )
