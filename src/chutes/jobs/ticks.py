"""When the schedule of a job comes: the newest tick that has passed, and the next one."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from chutes.chute.job import Job

__all__ = ["newest_tick", "next_tick"]


def newest_tick(job: Job, now: float) -> int | None:
    """The last tick at or before `now`, in milliseconds since 1970; None when there never was one."""
    # Going backwards, cronsim leaves out the moment that it starts from.
    return _first(job, now + 1, reverse=True)


def next_tick(job: Job, now: float) -> int | None:
    """The first tick after `now`, in milliseconds since 1970; None for a job without a schedule."""
    return _first(job, now, reverse=False)


def _first(job: Job, moment: float, *, reverse: bool) -> int | None:
    if job.cron is None:
        return None
    zone = UTC if job.timezone == "UTC" else ZoneInfo(job.timezone)
    start = datetime.fromtimestamp(int(moment), zone)
    found = next(CronSim(job.cron, start, reverse=reverse), None)
    return None if found is None else int(found.timestamp() * 1000)
