"""Counts and durations of every cord and of the process, as Prometheus text."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chutes.chute.cord import Cord

if TYPE_CHECKING:
    from chutes.serve.admission import Admission

__all__ = ["CordMeter", "Distribution", "LoopMeter", "Meters"]

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

    def collect(self) -> Iterator[Metric]:
        """Its metric families."""
        yield CounterMetricFamily(
            "chutes_loop_stalls",
            "Times that code blocked the event loop for a second or more.",
            value=self.stalls,
        )
        yield CounterMetricFamily(
            "chutes_loop_stall_seconds", "Time for which it was blocked so.", value=self.stall_seconds
        )


class Meters(Collector):
    """The meters of a chute's cords, in a registry of their own."""

    def __init__(self, admission: "Admission") -> None:
        self.loop = LoopMeter()
        self._admission = admission
        self._meters: dict[str, CordMeter] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def of(self, cord: Cord) -> CordMeter:
        """The meter of a cord, made on first use; one function under two paths has one, as `/metrics` shows names."""
        return self._meters.setdefault(cord.name, CordMeter(cord.name))

    def forget(self) -> None:
        """Begin every cord's numbers anew."""
        for meter in self._meters.values():
            meter.forget()

    def text(self) -> bytes:
        """The current numbers in Prometheus' text format, version 0.0.4; any thread may ask."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The metric families that `/metrics` shows, apart from those of the process."""
        meters = self._meters.copy()
        yield from _counters(meters)
        yield from _distributions(meters)
        yield from _gauges(meters)
        yield from self._slots()
        yield from self.loop.collect()

    def _slots(self) -> Iterator[Metric]:
        admission = self._admission
        yield GaugeMetricFamily("chutes_running", "Calls that have a slot.", value=admission.running)
        yield GaugeMetricFamily("chutes_waiting", "Calls that wait for a slot.", value=admission.waiting)
        yield GaugeMetricFamily("chutes_concurrency", "Slots.", value=admission.concurrency)


def _counters(meters: dict[str, CordMeter]) -> Iterable[Metric]:
    families = {
        "requests": CounterMetricFamily("chutes_requests", "Answers of cords.", labels=["cord", "status"]),
        "refused": CounterMetricFamily(
            "chutes_refused",
            "Calls refused because the queue was full, or because they could not start before their deadline.",
            labels=["cord", "reason"],
        ),
        "cancelled": CounterMetricFamily(
            "chutes_cancelled", "Calls stopped because the client left.", labels=["cord"]
        ),
        "timeouts": CounterMetricFamily(
            "chutes_timeouts", "Calls answered at their deadline.", labels=["cord"]
        ),
        "chunks": CounterMetricFamily("chutes_chunks", "Parts of streams that were sent.", labels=["cord"]),
    }
    for cord, meter in meters.items():
        for name, labels, value in meter.counters():
            families[name].add_metric([cord, *labels], value)
    return families.values()


def _distributions(meters: dict[str, CordMeter]) -> Iterable[Metric]:
    families = {
        name: HistogramMetricFamily(f"chutes_{name}", text, labels=["cord"])
        for name, text in {
            "request_seconds": "Time from a call's arrival to the end of its answer.",
            "queue_seconds": "Time that a call waited for its slot, or its item for its batch.",
            "first_chunk_seconds": "Time from a call's arrival to the first chunk of its stream.",
            "batch_size": "Items of a batch.",
        }.items()
    }
    for cord, meter in meters.items():
        for name, buckets, total in meter.distributions():
            families[name].add_metric([cord], buckets, total)
    return families.values()


def _gauges(meters: dict[str, CordMeter]) -> Iterable[Metric]:
    families = {
        name: GaugeMetricFamily(f"chutes_{name}", text, labels=["cord"])
        for name, text in {
            "in_flight": "Requests whose answer has not ended.",
            "overrunning": "Synchronous calls past their deadline that still hold a slot.",
            "batch_waiting": "Items that wait for a batch.",
        }.items()
    }
    for cord, meter in meters.items():
        for name, value in meter.gauges():
            families[name].add_metric([cord], value)
    return families.values()
