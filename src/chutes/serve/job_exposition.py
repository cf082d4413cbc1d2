"""The numbers of jobs as metric families of the Prometheus client."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

if TYPE_CHECKING:
    from chutes.serve.job_meters import JobMeters
    from chutes.serve.metrics import Distribution

__all__ = ["families"]


def families(meters: "JobMeters") -> Iterator[Metric]:
    """What `/metrics` shows of jobs."""
    jobs = list(meters.jobs)
    runs = CounterMetricFamily("chutes_job_runs", "Runs that ended.", labels=["job", "status"])
    for (job, status), count in sorted(meters.runs.copy().items()):
        runs.add_metric([job, status], count)
    yield runs
    text = "Attempts that ended badly and are followed by another."
    yield _counter("chutes_job_retries", text, meters.retries, jobs)
    text = "Ticks of a schedule whose last run had not ended."
    yield _counter("chutes_job_ticks_skipped", text, meters.skipped, jobs)
    yield _histogram("chutes_job_duration_seconds", "Time that an attempt took.", meters.durations)
    text = "Time from when a run might begin to its beginning."
    yield _histogram("chutes_job_start_delay_seconds", text, meters.delays)
    webhooks = CounterMetricFamily(
        "chutes_job_webhooks", "Attempts to tell a webhook.", labels=["job", "outcome"]
    )
    for (job, outcome), count in sorted(meters.webhooks.copy().items()):
        webhooks.add_metric([job, outcome], count)
    yield webhooks
    yield from _stored(meters, jobs)


def _stored(meters: "JobMeters", jobs: Collection[str]) -> Iterator[Metric]:
    """What the database knows; while it is away, that alone."""
    waiting = meters.waiting
    up = int(waiting is not None)
    yield GaugeMetricFamily("chutes_jobs_database_up", "Whether the database of the jobs answers.", value=up)
    if waiting is None:
        return
    for status, text in (("queued", "Runs that wait."), ("running", "Runs that are being run, anywhere.")):
        family = GaugeMetricFamily(f"chutes_jobs_{status}", text, labels=["job"])
        for job in jobs:
            family.add_metric([job], waiting.get((job, status), 0))
        yield family
    text = "Webhooks of ended runs that are to be told, now or later."
    yield GaugeMetricFamily("chutes_jobs_webhooks_waiting", text, value=meters.webhooks_waiting)


def _counter(name: str, text: str, counts: Mapping[str, int], jobs: Collection[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["job"])
    for job in jobs:
        family.add_metric([job], counts.get(job, 0))
    return family


def _histogram(name: str, text: str, kept: "Mapping[str, Distribution]") -> Metric:
    family = HistogramMetricFamily(name, text, labels=["job"])
    for job, spread in dict(kept).items():
        family.add_metric([job], spread.buckets(), spread.sum)
    return family
