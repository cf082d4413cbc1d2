"""Counts and durations of every cord, as Prometheus text."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chutes.chute.cord import Cord

if TYPE_CHECKING:
    from chutes.serve.admission import Admission

__all__ = ["CordMeter", "Meters"]

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class CordMeter:
    """Plain numbers of one cord: they cost a request next to nothing; text is made when somebody asks."""

    __slots__ = ("buckets", "cancelled", "refused", "requests", "seconds")

    def __init__(self) -> None:
        self.requests: dict[int, int] = {}
        self.refused = 0
        self.cancelled = 0
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0

    def count(self, status: int, seconds: float) -> None:
        """One answered request, from its arrival to the last byte of its answer."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.buckets[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds


class Meters(Collector):
    """The meters of a chute's cords."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self._meters: dict[str, CordMeter] = {}

    def of(self, cord: Cord) -> CordMeter:
        """The meter of a cord, made on first use; one function under two paths has one, as `/metrics` shows names."""
        return self._meters.setdefault(cord.name, CordMeter())

    def text(self) -> bytes:
        """The current numbers in Prometheus' text format, version 0.0.4."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        """The metric families that `/metrics` shows."""
        yield from self._counters()
        yield self._durations()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("chutes_requests", "Answers of cords.", labels=["cord", "status"])
        refused = CounterMetricFamily(
            "chutes_refused", "Calls refused because the queue was full.", labels=["cord"]
        )
        cancelled = CounterMetricFamily(
            "chutes_cancelled", "Calls stopped because the client left.", labels=["cord"]
        )
        for name, meter in self._meters.items():
            for status, count in sorted(meter.requests.items()):
                requests.add_metric([name, str(status)], count)
            refused.add_metric([name], meter.refused)
            cancelled.add_metric([name], meter.cancelled)
        yield from (requests, refused, cancelled)

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "chutes_request_seconds", "Time from a call's arrival to the end of its answer.", labels=["cord"]
        )
        for name, meter in self._meters.items():
            total, buckets = 0, []
            for bound, count in zip([*map(str, _BOUNDS), "+Inf"], meter.buckets, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric([name], buckets, meter.seconds)
        return family

    def _gauges(self) -> Iterator[Metric]:
        admission = self._admission
        yield GaugeMetricFamily("chutes_running", "Calls that have a slot.", value=admission.running)
        yield GaugeMetricFamily("chutes_waiting", "Calls that wait for a slot.", value=admission.waiting)
        yield GaugeMetricFamily("chutes_concurrency", "Slots.", value=admission.concurrency)
