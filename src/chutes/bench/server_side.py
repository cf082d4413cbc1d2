"""What the chute itself says of a load, in its `/metrics`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Scrape", "ServerSide", "read_metrics", "server_side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """The numbers of one look at `/metrics`, summed over the cords.

    Attributes:
        values: each sample's name and its value.
        buckets: of each histogram, the count up to each bound.
    """

    values: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, dict[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSide:
    """A load as the chute saw it; None where it does not say. Times are in seconds.

    Attributes:
        concurrency: its slots.
        running: calls that had a slot, on average over a few looks.
        waiting: calls that waited for one, likewise.
        queued_mean: how long calls waited for a slot, or their items for a batch.
        queued_p99: a time that 99 % of them did not exceed: a bound of the histogram, so no exact one.
        batches: how many batches there were.
        batch_mean: items of a batch.
        cpu: the share of one processor core that its process used, 1.0 for all of it.
    """

    concurrency: int | None = None
    running: float | None = None
    waiting: float | None = None
    queued_mean: float | None = None
    queued_p99: float | None = None
    batches: int | None = None
    batch_mean: float | None = None
    cpu: float | None = None


def read_metrics(text: str) -> Scrape:
    """What a Prometheus text says.

    Raises:
        ValueError: it is no such text.
    """
    scrape = Scrape()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            bound = sample.labels.get("le")
            if bound is None:
                scrape.values[sample.name] = scrape.values.get(sample.name, 0.0) + sample.value
                continue
            counts = scrape.buckets.setdefault(family.name, {})
            counts[float(bound)] = counts.get(float(bound), 0.0) + sample.value
    return scrape


def server_side(looks: Sequence[Scrape], seconds: float) -> ServerSide | None:
    """What changed from the first look to the last; None when they are not those of a chute.

    Args:
        looks: one before the load, one after it, and those in between.
        seconds: from the first look to the last.
    """
    if len(looks) < 2 or "chutes_concurrency" not in looks[-1].values:  # noqa: PLR2004 - a before and an after
        return None
    batches = _growth(looks, "chutes_batch_size_count")
    return ServerSide(
        concurrency=int(looks[-1].values["chutes_concurrency"]),
        running=_average(looks, "chutes_running"),
        waiting=_average(looks, "chutes_waiting"),
        queued_mean=_mean(looks, "chutes_queue_seconds"),
        queued_p99=_bound(looks, "chutes_queue_seconds", 0.99),
        batches=int(batches) if batches else None,
        batch_mean=_mean(looks, "chutes_batch_size"),
        cpu=_share(_growth(looks, "process_cpu_seconds_total"), seconds),
    )


def _growth(looks: Sequence[Scrape], name: str) -> float | None:
    if name not in looks[-1].values:
        return None
    return looks[-1].values[name] - looks[0].values.get(name, 0.0)


def _mean(looks: Sequence[Scrape], name: str) -> float | None:
    count, total = _growth(looks, f"{name}_count"), _growth(looks, f"{name}_sum")
    return total / count if count and total is not None else None


def _share(part: float | None, whole: float) -> float | None:
    return part / whole if part is not None and whole > 0 else None


def _average(looks: Sequence[Scrape], name: str) -> float | None:
    # Before and after the load the chute had nothing to do.
    during = [look.values[name] for look in looks[1:-1] if name in look.values]
    return sum(during) / len(during) if during else None


def _bound(looks: Sequence[Scrape], name: str, share: float) -> float | None:
    last, first = looks[-1].buckets.get(name, {}), looks[0].buckets.get(name, {})
    grown = [(bound, count - first.get(bound, 0.0)) for bound, count in sorted(last.items())]
    if not grown or not grown[-1][1]:
        return None
    total = grown[-1][1]
    reached = next(bound for bound, count in grown if count >= share * total)
    return reached if reached < float("inf") else None
