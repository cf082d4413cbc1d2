"""Schedules: one run for each tick, whoever else fires it, and whatever the clock does."""

import asyncio
import time

import pytest

from chutes.jobs.cron import Cron
from chutes.jobs.run import Status
from support.background import Background, running

HOUR = 3600.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs" / "me.db"


class Clock:
    """The moment at which schedules are looked at; it begins half past an hour that is to come."""

    def __init__(self):
        self.now = (time.time() // HOUR + 2) * HOUR + HOUR / 2

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def hourly(chute):
    @chute.job(schedule="@hourly", retry_count=1, timeout=9)
    async def tidy(self, why: str = "schedule"):
        return why


async def fire(background, clock, cron=None):
    """Looks at the schedules once, and returns what is queued by then."""
    cron = cron or Cron(background.service, lambda: background.chute.jobs, clock)
    await cron.fire_due()
    return await background.service.runs(status=Status.QUEUED)


@pytest.fixture
async def background(chute, path):
    background = Background(chute, path)
    await background.service.open()
    yield background
    await background.service.close()


async def end(background):
    """Ends everything that is queued."""
    for run in await background.service.runs(status=Status.QUEUED):
        await background.service.store.cancel(run.id)


async def test_a_tick_queues_one_run(chute, background, clock):
    hourly(chute)
    (run,) = await fire(background, clock)
    assert (run.job, run.arguments, run.max_attempts, run.timeout_ms) == ("tidy", "{}", 2, 9000)
    assert run.scheduled_for == int((clock.now - HOUR / 2) * 1000)
    assert await fire(background, clock) == [run]


async def test_a_schedule_that_is_new_owes_nothing(chute, background):
    hourly(chute)
    assert await fire(background, time.time) == []


async def test_ticks_that_were_missed_are_one_run_of_the_newest(chute, background, clock):
    hourly(chute)
    await fire(background, clock)
    await end(background)
    clock.now += 5 * HOUR
    (run,) = await fire(background, clock)
    assert run.scheduled_for == int((clock.now - HOUR / 2) * 1000)


async def test_a_tick_that_comes_while_its_run_goes_on_is_skipped_and_counted(chute, background, clock):
    hourly(chute)
    cron = Cron(background.service, lambda: chute.jobs, clock)
    await fire(background, clock, cron)
    for _ in range(2):
        clock.now += HOUR
        assert len(await fire(background, clock, cron)) == 1
    assert (await background.service.store.ticks())["tidy"][1] == 2
    await end(background)
    clock.now += HOUR
    assert len(await fire(background, clock, cron)) == 1


async def test_a_run_that_somebody_submitted_does_not_stop_a_tick(chute, background, clock):
    hourly(chute)
    await background.submit("tidy", why="by hand")
    assert len(await fire(background, clock)) == 2


async def test_a_schedule_that_was_changed_begins_anew(chute, background, clock):
    hourly(chute)
    await fire(background, clock)
    await end(background)
    chute._Chute__definition.jobs.clear()

    @chute.job(name="tidy", schedule="*/5 * * * *")
    async def tidier(self): ...

    assert await fire(background, time.time) == []
    clock.now += HOUR
    assert len(await fire(background, clock)) == 1


async def test_a_clock_that_goes_back_fires_nothing_twice(chute, background, clock):
    hourly(chute)
    await fire(background, clock)
    await end(background)
    clock.now -= 3 * HOUR
    assert await fire(background, clock) == []
    clock.now += 3 * HOUR
    assert await fire(background, clock) == []
    clock.now += HOUR
    assert len(await fire(background, clock)) == 1


async def test_of_many_processes_one_fires_each_tick(chute, path, clock):
    hourly(chute)
    others = [Background(chute, path, f"worker-{n}") for n in range(4)]
    crons = [Cron(one.service, lambda: chute.jobs, clock) for one in others]
    for one in others:
        await one.service.open()
    for _ in range(20):
        await asyncio.gather(*(cron.fire_due() for cron in crons))
        assert len(await others[0].service.runs(status=Status.QUEUED)) == 1
        await end(others[0])
        clock.now += HOUR
    assert len(await others[0].service.runs(count=100)) == 20
    for one in others:
        await one.service.close()


async def test_a_process_fires_by_itself(chute, path, monkeypatch):
    hourly(chute)
    clock = Clock()
    async with running(chute, path) as background:
        cron = Cron(background.service, lambda: chute.jobs, clock)
        cron.start()
        async with asyncio.timeout(30):
            while not (found := await background.service.runs(status=Status.SUCCEEDED)):
                await asyncio.sleep(0.005)
        await cron.stop()
    assert found[0].result == '"schedule"'


async def test_what_is_listed_says_when_each_comes_next(chute, background):
    hourly(chute)

    @chute.job()
    async def plain(self):
        """Does nothing.

        At length.
        """

    tidy, other = background.service.described()
    assert (tidy["schedule"], tidy["timezone"], tidy["retry_count"], tidy["timeout"]) == (
        "@hourly",
        "UTC",
        1,
        9,
    )
    assert tidy["next_run"].endswith(":00:00.000Z")
    assert (other["schedule"], other["next_run"], other["description"]) == (None, None, "Does nothing.")
