"""The numbers of a chute as Prometheus text."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from chutes.serve.metrics import CordMeter, LoopMeter, Meters

__all__ = ["Exposition"]


class Exposition(Collector):
    """Meters, and the process that they are in, in a registry of their own."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self) -> bytes:
        """The current numbers in the text format, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The metric families that `/metrics` shows, apart from those of the process."""
        meters = self._meters.by_cord()
        yield from _counters(meters)
        yield from _distributions(meters)
        yield from _gauges(meters)
        yield from self._slots()
        yield from _stalls(self._meters.loop)
        for one in self._meters.extra:
            yield from one.collect()

    def _slots(self) -> Iterator[Metric]:
        admission = self._meters.admission
        yield GaugeMetricFamily("chutes_running", "Calls that have a slot.", value=admission.running)
        yield GaugeMetricFamily("chutes_waiting", "Calls that wait for a slot.", value=admission.waiting)
        yield GaugeMetricFamily("chutes_concurrency", "Slots.", value=admission.concurrency)


def _stalls(loop: LoopMeter) -> Iterator[Metric]:
    text = "Times that code blocked the event loop for a second or more."
    yield CounterMetricFamily("chutes_loop_stalls", text, value=loop.stalls)
    yield CounterMetricFamily(
        "chutes_loop_stall_seconds", "Time for which it was blocked so.", value=loop.stall_seconds
    )


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
