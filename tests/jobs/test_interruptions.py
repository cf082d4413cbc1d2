"""What becomes of the runs of a worker that is gone, on every database."""

import asyncio
from collections.abc import Callable

from chutes.jobs.database import Database
from chutes.jobs.run import Run, Status
from chutes.jobs.store import NewRun, Store

LEASE_MS = 300


async def gone_worker(new_database: Callable[[], Database], runs: int = 1) -> list[Run]:
    """The runs that a worker had claimed when it died."""
    database = new_database()
    database.lease_ms = (
        min(database.lease_ms, LEASE_MS) if database.lease_ms < 3_600_000 else database.lease_ms
    )
    store = Store(database, "gone")
    await store.open()
    claimed = await store.claim(["embed"], runs)
    await store.close()
    return claimed


async def recovered(store: Store, count: int = 1) -> list[Run]:
    """Look until that many runs were freed."""
    found: list[Run] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await store.recover()
            await asyncio.sleep(0.02)
    return found


async def test_an_interrupted_run_goes_again_at_once(store, new_database):
    submitted, _ = await store.insert(NewRun(job="embed"))
    (lost,) = await gone_worker(new_database)

    (free,) = await recovered(store)

    assert (free.id, free.status, free.attempt, free.worker) == (submitted.id, Status.QUEUED, 1, None)
    assert [(one.number, one.error) for one in free.history] == [(1, "interrupted")]
    assert free.history[0].started_at == lost.started_at <= free.history[0].finished_at
    (again,) = await store.claim(["embed"], 1)
    assert (again.id, again.attempt) == (submitted.id, 2)


async def test_a_job_that_kills_every_worker_stops_after_its_attempts(store, new_database):
    await store.insert(NewRun(job="embed", max_attempts=3))

    ends = []
    for _ in range(3):
        assert len(await gone_worker(new_database)) == 1
        ends += await recovered(store)

    assert [run.status for run in ends] == [Status.QUEUED, Status.QUEUED, Status.FAILED]
    assert [one.number for one in ends[-1].history] == [1, 2, 3]
    assert await gone_worker(new_database) == []


async def test_an_interrupted_run_that_was_to_end_is_cancelled(store, new_database):
    submitted, _ = await store.insert(NewRun(job="embed"))
    await gone_worker(new_database)
    await store.cancel(submitted.id)

    (ended,) = await recovered(store)

    assert ended.status is Status.CANCELLED
    assert ended.finished_at is not None


async def test_each_lost_run_is_freed_once_however_many_look(new_store, new_database):
    stores = [await new_store() for _ in range(3)]
    for _ in range(20):
        await stores[0].insert(NewRun(job="embed"))
    await gone_worker(new_database, 20)

    freed: list[Run] = []
    async with asyncio.timeout(30):
        while len(freed) < 20:
            for runs in await asyncio.gather(*(store.recover() for store in stores)):
                freed += runs

    assert len({run.id for run in freed}) == len(freed) == 20
    assert all(len(run.history) == 1 for run in freed)
