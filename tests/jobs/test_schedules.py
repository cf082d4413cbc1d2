"""The cursor of a schedule: one run for each tick, and never two at once."""

import asyncio

import pytest

from chutes.jobs.run import Run, Status
from chutes.jobs.store import Ending, NewRun, Store

TICK = 4_000_000_000_000
NEW = NewRun(job="tick", max_attempts=2, timeout_ms=500)


@pytest.fixture
async def scheduled(store: Store) -> Store:
    await store.begin_schedule("tick", "* * * * *")
    return store


async def end(store: Store, run: Run) -> None:
    (claimed,) = await store.claim([run.job], 1)
    assert claimed.id == run.id
    await store.finish(claimed, Ending(status=Status.SUCCEEDED))


async def test_a_tick_is_one_run_however_many_fire_it(new_store):
    stores = [await new_store() for _ in range(4)]
    await asyncio.gather(*(store.begin_schedule("tick", "* * * * *") for store in stores))

    fired = await asyncio.gather(*(store.fire(NEW, TICK) for store in stores * 5))

    (run,) = [run for run in fired if run is not None]
    assert (run.scheduled_for, run.status, run.arguments) == (TICK, Status.QUEUED, "{}")
    assert (run.max_attempts, run.timeout_ms) == (2, 500)
    assert await stores[0].ticks() == {"tick": (TICK, 0)}


async def test_an_older_tick_fires_no_more(scheduled):
    await end(scheduled, await scheduled.fire(NEW, TICK))

    assert await scheduled.fire(NEW, TICK - 1) is None
    assert await scheduled.ticks() == {"tick": (TICK, 0)}


async def test_a_tick_fires_once_even_after_its_run_was_purged(scheduled):
    await end(scheduled, await scheduled.fire(NEW, TICK))
    await asyncio.sleep(0.01)
    await scheduled.purge(0)

    assert await scheduled.fire(NEW, TICK) is None


async def test_a_tick_that_comes_while_the_last_one_runs_is_skipped_and_counted(scheduled):
    first = await scheduled.fire(NEW, TICK)
    assert await scheduled.fire(NEW, TICK + 1) is None
    (running,) = await scheduled.claim(["tick"], 1)
    assert await scheduled.fire(NEW, TICK + 2) is None
    assert await scheduled.fire(NEW, TICK + 2) is None

    assert await scheduled.ticks() == {"tick": (TICK + 2, 2)}

    await scheduled.finish(running, Ending(status=Status.SUCCEEDED))
    assert (await scheduled.fire(NEW, TICK + 3)).id != first.id


async def test_a_run_that_somebody_submitted_keeps_no_tick_waiting(scheduled):
    await scheduled.insert(NewRun(job="tick"))

    assert await scheduled.fire(NEW, TICK) is not None


async def test_the_schedules_of_jobs_do_not_mind_each_other(scheduled):
    await scheduled.begin_schedule("tock", "* * * * *")

    assert await scheduled.fire(NEW, TICK) is not None
    assert await scheduled.fire(NewRun(job="tock"), TICK) is not None


async def test_a_schedule_that_is_new_owes_nothing_from_before(scheduled):
    now = (await scheduled.ticks())["tick"][0]

    assert now > 1_700_000_000_000
    assert await scheduled.fire(NEW, now) is None


async def test_a_schedule_that_stays_the_same_keeps_its_cursor(scheduled):
    await scheduled.fire(NEW, TICK)
    await scheduled.begin_schedule("tick", "* * * * *")

    assert (await scheduled.ticks())["tick"][0] == TICK


async def test_a_schedule_that_was_changed_begins_anew(scheduled):
    await scheduled.fire(NEW, TICK)
    await scheduled.begin_schedule("tick", "*/5 * * * *")

    assert (await scheduled.ticks())["tick"][0] < TICK


async def test_a_job_without_a_schedule_never_fires(store):
    assert await store.fire(NEW, TICK) is None
    assert await store.runs() == []
