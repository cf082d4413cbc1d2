"""Who may run now: `concurrency` slots and a bounded queue in order of arrival."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from chutes.errors import DeadlineUnreachable, QueueFull

__all__ = ["Admission", "Pace", "Place", "refuse"]

# Of calls whose lengths vary like those of a Poisson process, such a mean is within 16 % of the true one most of the time.
_SMOOTHING = 0.05
_UNMEASURED_SECONDS = 1.0

current_place: "ContextVar[Place | None]" = ContextVar("current_place", default=None)


class Pace:
    """The mean length of what was measured lately, in seconds; None before the first."""

    __slots__ = ("_count", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._count = 0

    def note(self, seconds: float) -> None:
        """One more measurement: the first few weigh alike, later ones fade."""
        former, self._count = self.seconds, self._count + 1
        share = 1 / self._count if self._count * _SMOOTHING < 1 else _SMOOTHING
        self.seconds = seconds if former is None else former + share * (seconds - former)

    def forget(self) -> None:
        """Begin anew."""
        self.seconds, self._count = None, 0


def refuse(text: str, wait: float, kind: type[QueueFull] = QueueFull) -> QueueFull:
    """The error for a call that would have to wait for `wait` seconds; HTTP knows whole ones, 1 at least."""
    seconds = max(1, round(wait))
    return kind(f"{text} Try again in {seconds} s.", {"Retry-After": str(seconds)})


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
        self._active: set[Place] = set()
        self.pace = Pace()

    @property
    def waiting(self) -> int:
        """Calls that have a place but no slot yet."""
        return self.admitted - self.running

    @property
    def queued(self) -> int:
        """Those in line for a slot at this moment; it may be read from any thread."""
        return len(self._waiting)

    def check(self) -> None:
        """Refuse a call that could not take a place now.

        Raises:
            QueueFull: every slot and place is taken; its `Retry-After` is the time that those before need.
        """
        if self.admitted >= self.concurrency + self.max_queue:
            self.refused += 1
            text = f"The chute is busy: {self.running} calls run and {self.waiting} wait."
            raise refuse(text, self.expected_wait())

    def enter(self, timeout: float | None = None) -> "Place":
        """Take a place.

        Args:
            timeout: seconds after which nobody wants the call any more.

        Raises:
            QueueFull: every slot and place is taken, or the call's turn would come after its deadline.
        """
        self.check()
        if timeout is not None and self.pace.seconds is not None and self.running >= self.concurrency:
            wait = self.expected_wait()
            if wait > timeout:
                self.refused += 1
                text = f"The chute is busy: this call would begin after its timeout of {timeout:g} s."
                raise refuse(text, wait - timeout, DeadlineUnreachable)
        return self.place()

    def place(self) -> "Place":
        """A place, whatever the length of the queue."""
        self.admitted += 1
        return Place(self)

    def begin(self) -> "Place | None":
        """A place with a slot; None when there is no slot, or others wait for it."""
        if self.running >= self.concurrency or self._waiting or self._called_up:
            return None
        self.running += 1
        self.admitted += 1
        place = Place(self, self._clock())
        self._active.add(place)
        current_place.set(place)
        return place

    def expected_wait(self) -> float:
        """Seconds until a call that came now would get a slot, were there room for it in the queue."""
        if self.running < self.concurrency and not self.waiting:
            return 0.0
        now = self._clock()
        elapsed = [now - place.since for place in self._active if place.since is not None]
        mean = self.pace.seconds
        if mean is None:
            mean = max([_UNMEASURED_SECONDS, *elapsed])
        # Each slot is free after what its call has left of a mean one, then after each whole one.
        left = sorted(max(mean - seconds, 0.0) for seconds in elapsed)
        left = [0.0] * (self.concurrency - len(left)) + left
        rounds, slot = divmod(self.waiting, self.concurrency)
        return rounds * mean + left[slot]

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A slot for work outside cords; it waits its turn, whatever the length of the queue.

        Inside a call that has a slot already it takes no second one, which at `concurrency=1` would never come.
        """
        held = current_place.get()
        if held is not None and held.active:
            yield
            return
        place = self.place()
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

    def began(self, place: "Place") -> None:
        """`place` has a slot from now on."""
        self._active.add(place)

    def left(self, place: "Place") -> None:
        """`place` is given back, with the slot that it may have."""
        self.admitted -= 1
        if place.since is None:
            return
        self._active.discard(place)
        if place.measured:
            self.pace.note(self._clock() - place.since)
        if self._waiting:
            self._pass_on()
        else:
            self.running -= 1

    def measure(self, seconds: float) -> None:
        """Note for how long something held a slot."""
        self.pace.note(seconds)

    def now(self) -> float:
        """Seconds on the clock by which slots are timed."""
        return self._clock()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._called_up += 1
                return
        self.running -= 1


class Place:
    """One call's place, and its slot once it has started.

    Attributes:
        since: the moment at which it took its slot; None until then.
        measured: the time for which it holds the slot says how long calls take.
    """

    __slots__ = ("_admission", "_left", "measured", "since")

    def __init__(self, admission: Admission, since: float | None = None) -> None:
        self._admission = admission
        self._left = False
        self.since = since
        self.measured = True

    @property
    def active(self) -> bool:
        """Whether the call has a slot now."""
        return self.since is not None and not self._left

    def start_at_once(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        self.since = self._admission.acquire_at_once()
        if self.since is None:
            return False
        self._started()
        return True

    async def start(self) -> None:
        """Wait for a slot, in order of arrival here."""
        self.since = await self._admission.acquire()
        self._started()

    def leave(self) -> None:
        """Give back the place and the slot; a second time does nothing."""
        if self._left:
            return
        self._left = True
        self._admission.left(self)

    def _started(self) -> None:
        self._admission.began(self)
        current_place.set(self)
