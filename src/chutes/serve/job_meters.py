"""Counts and durations of the runs of jobs, for `/metrics`."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from chutes.serve.metrics import Distribution

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from prometheus_client.core import Metric

    from chutes.jobs.run import Run

__all__ = ["JobMeters"]

_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
_HANDED_BACK = "handed back"
_INTERRUPTED = "interrupted"


class JobMeters:
    """What this process counts of runs, and what its database said of them when it was last asked.

    Args:
        jobs: the names of all jobs.

    Attributes:
        jobs: their names.
        runs: ended runs by job and status.
        retries: attempts that ended badly and are followed by another, by job.
        durations: seconds of attempts, by job.
        delays: seconds from when a run might begin to its beginning, by job.
        waiting: runs by job and status; None while the database cannot be asked.
        skipped: ticks of schedules that were left out, by job.
        webhooks: attempts to tell a webhook, by job and by what became of them.
        webhooks_waiting: webhooks of ended runs that are to be told.
    """

    def __init__(self, jobs: "Collection[str]") -> None:
        self.waiting: Mapping[tuple[str, str], int] | None = None
        self.skipped: Mapping[str, int] = {}
        self.jobs = jobs
        self.runs: Counter[tuple[str, str]] = Counter()
        self.retries: Counter[str] = Counter()
        self.durations: dict[str, Distribution] = {}
        self.delays: dict[str, Distribution] = {}
        self.webhooks: Counter[tuple[str, str]] = Counter()
        self.webhooks_waiting = 0

    def begun(self, run: "Run") -> None:
        """One attempt that begins here."""
        if run.started_at is not None:
            seconds = max(0, run.started_at - run.run_at) / 1000
            _of(self.delays, run.job).observe(seconds)

    def ended(self, run: "Run") -> None:
        """One attempt that has ended here, or was found interrupted: the run as it is afterwards."""
        if run.is_final:
            self.runs[run.job, run.status.value] += 1
        elif run.error == _HANDED_BACK:
            return
        else:
            self.retries[run.job] += 1
        ended = run.finished_at if run.is_final else run.history[-1].finished_at if run.history else None
        # How long an interrupted attempt ran, nobody has seen.
        if run.started_at is not None and ended is not None and run.error != _INTERRUPTED:
            _of(self.durations, run.job).observe(max(0, ended - run.started_at) / 1000)

    def ended_waiting(self, run: "Run") -> None:
        """One run that was cancelled here before an attempt began, or between two of them."""
        self.runs[run.job, run.status.value] += 1

    def told(self, run: "Run", outcome: str) -> None:
        """One attempt to tell a webhook."""
        self.webhooks[run.job, outcome] += 1

    def collect(self) -> "Iterable[Metric]":
        """The families that `/metrics` shows; none for a chute without jobs."""
        if not self.jobs:
            return ()
        from chutes.serve.job_exposition import families

        return families(self)


def _of(kept: dict[str, Distribution], job: str) -> Distribution:
    return kept.setdefault(job, Distribution(_SECONDS))
