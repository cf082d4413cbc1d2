"""Sending requests: in a closed loop of clients, or in an open one at a rate."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from chutes.bench.line import Answer, Line, Timer, WireRequest
from chutes.bench.plan import Plan, gaps
from chutes.bench.tally import Tally

__all__ = ["ClosedLoop", "Load", "Means", "OpenLoop", "load_for"]

# A client that was refused, or found no connection, would otherwise do nothing but ask again.
_PAUSE = 0.1
_SWEEP = 1.0
_REFUSALS = frozenset({429, 503})


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a load is made of.

    Attributes:
        plan: how it goes.
        lines: a connection for each client of the plan.
        requests: those to send, without end.
        timer: the time to go by.
        tally: what is counted.
        on_end: called once, when all that was begun has ended.
    """

    plan: Plan
    lines: Sequence[Line]
    requests: Iterator[WireRequest]
    timer: Timer
    tally: Tally
    on_end: Callable[[], object]


class Load(Protocol):
    """A run that is begun once, and ends by itself or when it is stopped."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End now: what is in flight is not counted."""

    def throughput(self) -> float:
        """Good answers a second."""


class _Run:
    """What both kinds of load share: which request is next, when the run is over, and what takes too long."""

    def __init__(self, means: Means) -> None:
        self.plan = means.plan
        self.timer = means.timer
        self.tally = means.tally
        self._means = means
        self._left = float("inf") if self.plan.requests is None else self.plan.requests
        self._until = float("inf")
        self.is_over = False

    def begin(self) -> None:
        """Note the time, and look after requests that nothing comes for."""
        if self.plan.duration is not None:
            self._until = self.timer.now() + self.plan.duration
        self._sweep_later()

    def take(self, now: float) -> WireRequest | None:
        """The next request; None when there is none to come."""
        if self.is_over or self._left <= 0 or now >= self._until:
            return None
        self._left -= 1
        return next(self._means.requests)

    def end(self) -> None:
        """Tell that all is done."""
        if not self.is_over:
            self.is_over = True
            self._sweeping.cancel()
            self._means.on_end()

    def _sweep_later(self) -> None:
        self._sweeping = self.timer.call_later(min(_SWEEP, self.plan.timeout / 4), self._sweep)

    def _sweep(self) -> None:
        before = self.timer.now() - self.plan.timeout
        for line in self._means.lines:
            line.expire(before)
        if not self.is_over:
            self._sweep_later()


class ClosedLoop:
    """Clients that each send a request, wait for its answer, and send the next."""

    def __init__(self, means: Means) -> None:
        self._run = _Run(means)
        self._clients = [_Client(line, self._run, self._left) for line in means.lines]
        self._active = len(self._clients)

    def start(self) -> None:
        """See `Load`."""
        self._run.begin()
        for client in self._clients:
            client.begin()

    def stop(self) -> None:
        """See `Load`."""
        for client in self._clients:
            client.stop()
        self._run.end()

    def throughput(self) -> float:
        """See `Load`.

        It is the sum of what the clients got, each over its own time: near the end some are done already, and
        the chute has less to do than the run is about.
        """
        return sum(client.rate for client in self._clients)

    def _left(self) -> None:
        self._active -= 1
        if not self._active:
            self._run.end()


class _Client:
    """One client of a closed loop."""

    def __init__(self, line: Line, run: _Run, on_leaving: Callable[[], object]) -> None:
        self._line = line
        self._run = run
        self._on_leaving = on_leaving
        self._sent = self._begun = self._ended = 0.0
        self._good = 0
        self._in_flight = False

    @property
    def rate(self) -> float:
        """Its good answers a second."""
        seconds = self._ended - self._begun
        return self._good / seconds if seconds > 0 else 0.0

    def begin(self) -> None:
        self._begun = self._ended = self._run.timer.now()
        self._next()

    def stop(self) -> None:
        if self._in_flight:
            # The time that went into the answer that it did not get is part of its time.
            self._ended = self._run.timer.now()

    def _next(self) -> None:
        now = self._run.timer.now()
        request = self._run.take(now)
        if request is None:
            self._on_leaving()
            return
        self._sent = now
        self._in_flight = True
        self._line.send(request, self._answered)

    def _answered(self, answer: Answer) -> None:
        run = self._run
        if run.is_over:
            return
        self._in_flight = False
        self._ended = answer.ended
        run.tally.add(self._sent, answer)
        if answer.good:
            self._good += 1
        if not answer.status or answer.status in _REFUSALS:
            run.timer.call_later(_PAUSE, self._next)
        else:
            self._next()


class OpenLoop:
    """Requests that come when they come, whether the chute keeps up or not.

    A request's time counts from when it came, so that one which had to wait for a connection does not look quick.
    """

    def __init__(self, means: Means) -> None:
        self._run = _Run(means)
        self._gaps = gaps(means.plan)
        # The line used last is used first, so that no more are opened than are needed.
        self._free = list(reversed(means.lines))
        self._waiting: deque[tuple[float, WireRequest]] = deque()
        self._in_flight = 0
        self._arrives = 0.0
        self._more = True
        self._first_arrival = self._last_arrival = 0.0
        self._good = 0
        self._first_good = self._last_good = 0.0

    def start(self) -> None:
        """See `Load`."""
        self._run.begin()
        self._first_arrival = self._last_arrival = self._arrives = self._run.timer.now()
        self._arrive()

    def stop(self) -> None:
        """See `Load`."""
        self._run.end()

    def throughput(self) -> float:
        """See `Load`: over the time from the first good answer to the last, or that of all arrivals, if longer."""
        span = max(self._last_good - self._first_good, self._last_arrival - self._first_arrival)
        if self._good > 1 and span > 0:
            return (self._good - 1) / span
        return self._good / (self._last_good - self._first_arrival) if self._good else 0.0

    def _arrive(self) -> None:
        now = self._run.timer.now()
        while self._arrives <= now:
            request = self._run.take(self._arrives)
            if request is None:
                self._more = False
                self._end_if_done()
                return
            self._dispatch(self._arrives, request)
            self._last_arrival = self._arrives
            self._arrives += next(self._gaps)
        self._run.timer.call_later(self._arrives - now, self._arrive)

    def _dispatch(self, due: float, request: WireRequest) -> None:
        if not self._free:
            self._run.tally.held += 1
            self._waiting.append((due, request))
            return
        self._run.tally.lateness.append(self._run.timer.now() - due)
        self._send(self._free.pop(), due, request)

    def _send(self, line: Line, due: float, request: WireRequest) -> None:
        self._in_flight += 1
        line.send(request, partial(self._answered, line, due))

    def _answered(self, line: Line, due: float, answer: Answer) -> None:
        if self._run.is_over:
            return
        self._in_flight -= 1
        self._run.tally.add(due, answer)
        if answer.good:
            self._good += 1
            self._first_good = self._first_good or answer.ended
            self._last_good = answer.ended
        if self._waiting:
            self._send(line, *self._waiting.popleft())
        else:
            self._free.append(line)
            self._end_if_done()

    def _end_if_done(self) -> None:
        if not self._more and not self._in_flight:
            self._run.end()


def load_for(means: Means) -> Load:
    """The load that the plan asks for."""
    return ClosedLoop(means) if means.plan.rate is None else OpenLoop(means)
