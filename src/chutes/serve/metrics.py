"""Counts and durations of every cord, as plain numbers; `exposition` makes text of them."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from chutes.chute.cord import Cord

if TYPE_CHECKING:
    from chutes.serve.admission import Admission
    from chutes.serve.exposition import Exposition

__all__ = ["CONTENT_TYPE", "CordMeter", "Distribution", "LoopMeter", "Meters"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text of `/metrics`."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


class Distribution:
    """How many values fell below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def forget(self) -> None:
        """Begin anew."""
        self.counts = [0] * len(self.counts)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a bound belongs to what is below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Bounds and the number of values up to each, as Prometheus has them."""
        total, found = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], tuple(self.counts), strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class CordMeter:
    """Plain numbers of one cord: they cost a request next to nothing; text is made when somebody asks.

    The loop's thread alone writes them; any thread may read.

    Attributes:
        cord: its name.
        requests: answers by status.
        refused: calls that found the queue full.
        hopeless: calls refused because they could not start before their deadline; not among `refused`.
        cancelled: calls given up because their client left.
        timeouts: calls that were answered at their deadline.
        overrunning: synchronous calls past their deadline that still hold a slot, now.
        in_flight: requests that have reached the cord and whose answer has not ended, now.
        at_once: calls that found a free slot, and so waited for none.
        chunks: parts of streams that were sent.
        waiting: how many items wait for a batch now; None for a cord that is not batched.
        durations: seconds of answers, by `count`.
        waits: seconds in the queue, by `queued`.
        first_chunks: seconds until a stream begins, by `first_chunk`.
        batches: items of a batch, by `batched`.
    """

    __slots__ = (
        "at_once", "batches", "cancelled", "chunks", "cord", "durations", "first_chunks", "hopeless", "in_flight",
        "overrunning", "refused", "requests", "timeouts", "waiting", "waits",
    )  # fmt: skip

    def __init__(self, cord: str) -> None:
        self.cord = cord
        self.requests: dict[int, int] = {}
        self.refused = self.hopeless = self.cancelled = self.timeouts = 0
        self.overrunning = self.in_flight = self.at_once = self.chunks = 0
        self.waiting: Callable[[], int] | None = None
        self.durations = Distribution(_SECONDS)
        self.waits = Distribution(_SECONDS)
        self.first_chunks = Distribution(_SECONDS)
        self.batches = Distribution(_SIZES)

    def forget(self) -> None:
        """Begin anew: what was counted so far was no client's call."""
        self.requests = {}
        self.refused = self.hopeless = self.cancelled = self.timeouts = 0
        self.at_once = self.chunks = 0
        for spread in (self.durations, self.waits, self.first_chunks, self.batches):
            spread.forget()

    def count(self, status: int, seconds: float) -> None:
        """One answered request, from its arrival to the last byte of its answer."""
        self.requests[status] = self.requests.get(status, 0) + 1
        # As `observe` has it: every request comes by here.
        durations = self.durations
        durations.counts[bisect_left(durations.bounds, seconds)] += 1
        durations.sum += seconds

    def queued(self, seconds: float) -> None:
        """One call that got its slot, or its batch, after it had waited."""
        self.waits.observe(seconds)

    def batched(self, size: int) -> None:
        """One batch of `size` items that went to the function."""
        self.batches.observe(size)

    def first_chunk(self, seconds: float) -> None:
        """One stream whose first chunk went out, `seconds` after its request had arrived."""
        self.first_chunks.observe(seconds)

    def counters(self) -> Iterator[tuple[str, tuple[str, ...], int]]:
        """Name, labels after the cord's and value of everything that only grows."""
        for status, count in sorted(self.requests.copy().items()):
            yield "requests", (str(status),), count
        yield "refused", ("queue_full",), self.refused
        yield "refused", ("deadline",), self.hopeless
        yield "cancelled", (), self.cancelled
        yield "timeouts", (), self.timeouts
        yield "chunks", (), self.chunks

    def distributions(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Name, buckets and sum of everything that is spread."""
        yield "request_seconds", self.durations.buckets(), self.durations.sum
        # They waited for no time at all, so they count below every bound.
        at_once = self.at_once
        waits = [(bound, count + at_once) for bound, count in self.waits.buckets()]
        yield "queue_seconds", waits, self.waits.sum
        yield "first_chunk_seconds", self.first_chunks.buckets(), self.first_chunks.sum
        if self.waiting is not None:
            yield "batch_size", self.batches.buckets(), self.batches.sum

    def gauges(self) -> Iterator[tuple[str, int]]:
        """Name and value of everything that goes up and down."""
        yield "in_flight", self.in_flight
        yield "overrunning", self.overrunning
        if self.waiting is not None:
            yield "batch_waiting", self.waiting()


class LoopMeter:
    """How often, and for how many seconds, code blocked the event loop; the watchdog's thread alone writes it."""

    __slots__ = ("stall_seconds", "stalls")

    def __init__(self) -> None:
        self.stalls = 0
        self.stall_seconds = 0.0


class Meters:
    """The meters of a chute's cords.

    Attributes:
        admission: knows how many calls run and wait.
        loop: the event loop's own numbers.
        extra: whatever else `/metrics` shows: collectors, in the sense of the Prometheus client.
    """

    def __init__(self, admission: "Admission") -> None:
        self.admission = admission
        self.loop = LoopMeter()
        self.extra: list[Any] = []
        self._meters: dict[str, CordMeter] = {}
        self._exposition: Exposition | None = None

    def of(self, cord: Cord) -> CordMeter:
        """The meter of a cord, made on first use; one function under two paths has one, as `/metrics` shows names."""
        return self._meters.setdefault(cord.name, CordMeter(cord.name))

    def by_cord(self) -> dict[str, CordMeter]:
        """Every meter by the name of its cord, as they are now."""
        return self._meters.copy()

    def forget(self) -> None:
        """Begin every cord's numbers anew."""
        for meter in self._meters.values():
            meter.forget()

    def text(self) -> bytes:
        """The current numbers in Prometheus' text format, version 0.0.4; any thread may ask."""
        if self._exposition is None:
            # The Prometheus client takes a while to import: the first scrape waits for it, not the start.
            from chutes.serve.exposition import Exposition

            self._exposition = Exposition(self)
        return self._exposition.text()
