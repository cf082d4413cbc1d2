"""A timer that moves by itself, and a chute that answers after set times: loads without a network and without waiting."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable

from chutes.bench.line import Answer, Done, Problem, WireRequest

__all__ = ["FakeChute", "FakeLine", "FakeTimer"]


class FakeHandle:
    """What `FakeTimer.call_later` returns."""

    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        """See `TimerHandle`."""
        self.is_cancelled = True


class FakeTimer:
    """Time that jumps to whatever is due next.

    Attributes:
        time: the seconds that it shows.
    """

    def __init__(self, time: float = 1000.0) -> None:
        self.time = time
        self._due: list[tuple[float, int, Callable[[], object], FakeHandle]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """See `Timer`."""
        return self.time

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeHandle:
        """See `Timer`."""
        handle = FakeHandle()
        heapq.heappush(self._due, (self.time + delay, next(self._order), callback, handle))
        return handle

    def pass_by(self, seconds: float) -> None:
        """Let time pass in which nothing can happen, as while a loop is blocked."""
        self.time += seconds

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until `until()` is true, or nothing is left to happen."""
        while self._due and not until():
            when, _, callback, handle = heapq.heappop(self._due)
            if not handle.is_cancelled:
                self.time = max(self.time, when)
                callback()


class FakeChute:
    """A chute that gives each call the next of `times` seconds of work, `concurrency` of them at once.

    Args:
        timer: the time that it goes by.
        times: seconds of work of each call, used in turn.
        concurrency: how many calls it works on at once.
        queue: how many may wait; a call on top of those is answered 503 at once.
        answers: the answers, used in turn; their `ended` is set, and `first` is taken as seconds after the start.
    """

    def __init__(
        self,
        timer: FakeTimer,
        times: Iterable[float],
        *,
        concurrency: int = 1_000_000,
        queue: int = 1_000_000,
        answers: Iterable[Answer] = (Answer(200, 0.0, size=10),),
    ) -> None:
        self.timer = timer
        self.seen: list[WireRequest] = []
        self._times = itertools.cycle(times)
        self._answers = itertools.cycle(answers)
        self._free = concurrency
        self._queue = queue
        self._waiting: deque[Done] = deque()

    def line(self) -> "FakeLine":
        """A new connection to it."""
        return FakeLine(self)

    def take(self, request: WireRequest, done: Done) -> None:
        """Work on a request, now or later."""
        self.seen.append(request)
        if self._free:
            self._free -= 1
            self._work(done)
        elif len(self._waiting) < self._queue:
            self._waiting.append(done)
        else:
            busy = Answer(503, 0.0, retry_after="2", body=b'{"detail": "busy"}')
            self.timer.call_later(0.0, lambda: done(busy._replace(ended=self.timer.time)))

    def _work(self, done: Done) -> None:
        begun = self.timer.time
        answer = next(self._answers)

        def finish() -> None:
            if self._waiting:
                self._work(self._waiting.popleft())
            else:
                self._free += 1
            first = begun + answer.first if answer.first else 0.0
            done(answer._replace(ended=self.timer.time, first=first))

        self.timer.call_later(next(self._times), finish)


class FakeLine:
    """See `Line`."""

    def __init__(self, chute: FakeChute) -> None:
        self._chute = chute
        self._sent = 0.0
        self._done: Done | None = None

    def send(self, request: WireRequest, done: Done) -> None:
        """See `Line`."""
        self._sent, self._done = self._chute.timer.time, done
        self._chute.take(request, lambda answer: self._end(done, answer))

    def expire(self, before: float) -> None:
        """See `Line`."""
        if self._done is not None and self._sent < before:
            late = Answer(0, self._chute.timer.time, problem=Problem("timeout", "nothing came"))
            self._end(self._done, late)

    def close(self) -> None:
        """See `Line`."""
        self._done = None

    def _end(self, done: Done, answer: Answer) -> None:
        if self._done is done:
            self._done = None
            done(answer)
