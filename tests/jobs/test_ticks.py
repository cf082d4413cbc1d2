"""When schedules come, through the changes between summer and winter time."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.chute.job import make_job
from chutes.jobs.ticks import newest_tick, next_tick

BERLIN = "Europe/Berlin"


def job(schedule, timezone=None):
    def run(self): ...

    return make_job(run, schedule=schedule, timezone=timezone)


def seconds(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(tick, zone="UTC"):
    return datetime.fromtimestamp(tick / 1000, ZoneInfo(zone)).isoformat()


def test_a_tick_at_this_very_moment_has_come():
    every_hour = job("@hourly")
    now = seconds("2026-03-01T12:00:00")
    assert shown(newest_tick(every_hour, now)) == "2026-03-01T12:00:00+00:00"
    assert shown(next_tick(every_hour, now)) == "2026-03-01T13:00:00+00:00"
    assert shown(newest_tick(every_hour, now - 0.001)) == "2026-03-01T11:00:00+00:00"


@pytest.mark.parametrize(
    ("schedule", "before", "after"),
    [
        ("*/15 * * * *", "2026-03-01T12:30:00+00:00", "2026-03-01T12:45:00+00:00"),
        ("@daily", "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00"),
        ("@weekly", "2026-03-01T00:00:00+00:00", "2026-03-08T00:00:00+00:00"),
        ("@monthly", "2026-03-01T00:00:00+00:00", "2026-04-01T00:00:00+00:00"),
        ("@yearly", "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("0 2 29 2 *", "2024-02-29T02:00:00+00:00", "2028-02-29T02:00:00+00:00"),
    ],
)
def test_aliases_and_expressions(schedule, before, after):
    now = seconds("2026-03-01T12:34:56")
    assert shown(newest_tick(job(schedule), now)) == before
    assert shown(next_tick(job(schedule), now)) == after


def ticks_between(one, start, end):
    found, now = [], start
    while (tick := next_tick(one, now)) is not None and tick / 1000 <= end:
        found.append(shown(tick, one.timezone))
        now = tick / 1000
    return found


def test_a_time_that_summer_skips_comes_when_the_clocks_have_changed():
    one = job("30 2 * * *", BERLIN)
    ticks = ticks_between(one, seconds("2026-03-28T00:00", BERLIN), seconds("2026-03-31T00:00", BERLIN))
    assert ticks == ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_a_time_that_comes_twice_in_autumn_counts_once():
    one = job("30 2 * * *", BERLIN)
    ticks = ticks_between(one, seconds("2026-10-24T00:00", BERLIN), seconds("2026-10-27T00:00", BERLIN))
    assert len(ticks) == 3
    assert [tick[:10] for tick in ticks] == ["2026-10-24", "2026-10-25", "2026-10-26"]


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
def test_hours_pass_evenly_through_every_change(zone):
    one = job("@hourly", zone)
    start = seconds("2026-01-01T00:00")
    ticks, now = [], start
    while now < start + 366 * 86_400:
        now = next_tick(one, now) / 1000
        ticks.append(now)
    gaps = {round(after - before) for before, after in itertools.pairwise(ticks)}
    # Lord Howe Island shifts its clocks by half an hour.
    assert gaps <= {1800, 3600, 5400, 7200}
    assert sum(gap == 3600 for gap in (b - a for a, b in itertools.pairwise(ticks))) > 8750


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1))
SCHEDULES = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15 3 * * SUN", "@hourly"]
)


@given(moment=MOMENTS, schedule=SCHEDULES, zone=st.sampled_from(["UTC", BERLIN, "America/Sao_Paulo"]))
def test_no_tick_lies_between_the_newest_and_the_next(moment, schedule, zone):
    one = job(schedule, zone)
    now = moment.replace(tzinfo=UTC).timestamp()
    newest, following = newest_tick(one, now), next_tick(one, now)
    assert newest <= now * 1000 < following
    assert next_tick(one, newest / 1000) in (following, *range(newest, int(now * 1000) + 1, 1000))
    assert timedelta(milliseconds=following - newest) < timedelta(days=32)
