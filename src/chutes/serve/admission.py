"""Who may run now: `concurrency` slots and a bounded queue in order of arrival."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from chutes.errors import QueueFull

__all__ = ["Admission", "Place"]

_SMOOTHING = 0.2

current_place: "ContextVar[Place | None]" = ContextVar("current_place", default=None)


class Admission:
    """Slots for calls that run, places for calls that wait.

    A call that finds every place taken is refused before its body is read. It takes a place when its input is whole
    and valid, so that a slow or broken upload keeps nobody waiting, and a slot before its function runs.

    Args:
        concurrency: slots.
        max_queue: places beyond the slots.
        clock: seconds, monotonic.
    """

    def __init__(self, concurrency: int, max_queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.concurrency = concurrency
        self.max_queue = max_queue
        self.running = 0
        self.admitted = 0
        self.refused = 0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._called_up = 0
        self._mean_seconds: float | None = None

    @property
    def waiting(self) -> int:
        """Calls that have a place but no slot yet."""
        return self.admitted - self.running

    def check(self) -> None:
        """Refuse a call that could not take a place now.

        Raises:
            QueueFull: every slot and place is taken; its `Retry-After` is the time that those before need.
        """
        if self.admitted >= self.concurrency + self.max_queue:
            self.refused += 1
            wait = self.expected_wait()
            raise QueueFull(
                f"The chute is busy: {self.running} calls run and {self.waiting} wait. Try again in {wait} s.",
                {"Retry-After": str(wait)},
            )

    def enter(self) -> "Place":
        """Take a place.

        Raises:
            QueueFull: every slot and place is taken.
        """
        self.check()
        self.admitted += 1
        return Place(self)

    def expected_wait(self) -> int:
        """Whole seconds, at least 1, until the calls that wait now have been served at the measured rate."""
        mean = self._mean_seconds if self._mean_seconds is not None else 1.0
        return max(1, math.ceil((self.waiting + 1) * mean / self.concurrency))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A slot for work outside cords; it waits its turn, whatever the length of the queue.

        Inside a call that has a slot already it takes no second one, which at `concurrency=1` would never come.
        """
        held = current_place.get()
        if held is not None and held.active:
            yield
            return
        self.admitted += 1
        place = Place(self)
        try:
            await place.start()
            yield
        finally:
            place.leave()

    def acquire_at_once(self) -> float | None:
        """The moment at which a free slot was taken; None when there is none, or others wait for it."""
        if self.running < self.concurrency and not self._waiting and not self._called_up:
            self.running += 1
            return self._clock()
        return None

    async def acquire(self) -> float:
        """Wait for a slot behind those that wait already; returns the moment at which it was taken."""
        if (since := self.acquire_at_once()) is not None:
            return since
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if self.running < self.concurrency:
            # A slot is free, but one who was called up has not begun yet: the first in the queue follows after that one.
            self.running += 1
            loop.call_soon(self._pass_on)
        try:
            await turn
            self._called_up -= 1
        except asyncio.CancelledError:
            # The turn may have come in the very step in which the wait was cancelled: pass it on.
            if turn.done() and not turn.cancelled():
                self._called_up -= 1
                self._pass_on()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        return self._clock()

    def release(self, since: float) -> None:
        """Give back a slot that was taken at `since`."""
        seconds = self._clock() - since
        mean = self._mean_seconds
        self._mean_seconds = seconds if mean is None else mean + _SMOOTHING * (seconds - mean)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._called_up += 1
                return
        self.running -= 1


class Place:
    """One call's place, and its slot once it has started."""

    __slots__ = ("_admission", "_left", "_since")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._since: float | None = None
        self._left = False

    @property
    def active(self) -> bool:
        """Whether the call has a slot now."""
        return self._since is not None and not self._left

    def start_at_once(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        self._since = self._admission.acquire_at_once()
        if self._since is None:
            return False
        current_place.set(self)
        return True

    async def start(self) -> None:
        """Wait for a slot, in order of arrival here."""
        self._since = await self._admission.acquire()
        current_place.set(self)

    def leave(self) -> None:
        """Give back the place and the slot; a second time does nothing."""
        if self._left:
            return
        self._left = True
        self._admission.admitted -= 1
        if self._since is not None:
            self._admission.release(self._since)
