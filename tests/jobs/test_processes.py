"""Several real processes on one database: they start, race, and die."""

import asyncio
import contextlib
import os
import secrets
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from chutes.jobs.files_kept import FilesKeeper
from chutes.jobs.run import Status
from chutes.jobs.store import Ending, NewRun, Store
from support.child_processes import is_alive, wait_until
from support.job_process import FIRST_TICK, JobProcess, database


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as a process is told of it."""
    if request.param == "sqlite":
        return str(tmp_path / "jobs.db")
    return f"{request.getfixturevalue('postgres_server').url()} test_{secrets.token_hex(8)}"


@contextlib.contextmanager
def processes(where: str, action: str, count: int) -> Iterator[list[JobProcess]]:
    started = [JobProcess(where, action) for _ in range(count)]
    try:
        # Each is ready before any is let go, so that they race.
        for one in started:
            one.get_ready()
        for one in started:
            one.go()
        yield started
    finally:
        for one in started:
            one.kill()


@contextlib.asynccontextmanager
async def opened(where: str):
    store = Store(database(where), "test")
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_eight_processes_that_start_at_once_all_find_the_tables(where):
    with processes(where, "accept", 8) as started:
        ids = {one.answer() for one in started}
        assert [one.wait() for one in started] == [0] * 8

    async with opened(where) as store:
        assert {run.id for run in await store.runs()} == ids
        assert len(ids) == 8


async def test_each_tick_that_processes_race_for_is_one_run(where):
    async with opened(where) as store:
        await store.begin_schedule("tick", "* * * * *")
        with processes(where, "fire", 3) as started:
            fired = [int(one.answer()) for one in started]

        assert sum(fired) == 200 - (await store.ticks())["tick"][1]
        runs = await store.runs("tick", count=500)
        assert len({run.scheduled_for for run in runs}) == len(runs) == sum(fired)
        assert (await store.ticks())["tick"][0] == FIRST_TICK + 200


async def test_the_runs_of_a_killed_process_are_free_at_once_on_one_machine(tmp_path):
    where = str(tmp_path / "jobs.db")
    async with opened(where) as store:
        await store.insert(NewRun(job="embed", max_attempts=2))
        await store.insert(NewRun(job="embed", max_attempts=1))
        with processes(where, "claim", 1) as (process,):
            assert len(process.answer().split()) == 2
            assert await store.recover() == []
            process.kill()

        again, over = sorted(await store.recover(), key=lambda run: -run.max_attempts)

    assert (again.status, again.attempt, again.error) == (Status.QUEUED, 1, "interrupted")
    assert (over.status, over.attempt, over.error) == (Status.FAILED, 1, "interrupted")
    assert [(one.number, one.error) for one in over.history] == [(1, "interrupted")]
    assert over.finished_at is not None
    assert [entry.name for entry in (tmp_path / "jobs.db.workers").iterdir()] == []


async def test_a_forked_child_does_not_keep_its_dead_parent_alive(tmp_path):
    where = str(tmp_path / "jobs.db")
    async with opened(where) as store:
        await store.insert(NewRun(job="embed"))
        with processes(where, "claim_and_fork", 1) as (process,):
            child, run_id = process.answer().split()
            process.kill()
            try:
                assert is_alive(int(child))
                assert [run.id for run in await store.recover()] == [run_id]
            finally:
                os.kill(int(child), signal.SIGKILL)


async def test_a_process_that_is_killed_in_a_commit_leaves_a_sound_file(tmp_path):
    where = str(tmp_path / "jobs.db")
    for _ in range(3):
        with processes(where, "fire", 2) as started:
            wait_until(lambda: Path(where).exists(), 60)
            for one in started:
                one.kill()

    with contextlib.closing(sqlite3.connect(where)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_what_was_accepted_survives_whoever_is_killed(where):
    said: list[str] = []
    workers = []
    try:
        for kill in range(6):
            while len(workers) < 3:
                workers.append(JobProcess(where, "submit_and_work"))
                workers[-1].get_ready()
                workers[-1].go()
            await asyncio.sleep(0.5)
            said += workers.pop(kill % 3).killed()
    finally:
        for worker in workers:
            said += worker.killed()
    accepted = {line.split()[1] for line in said if line.startswith("accepted")}
    begun = [tuple(line.split()[1:]) for line in said if line.startswith("begun")]

    async with opened(where) as store, asyncio.timeout(60):
        while await store.waiting():
            await store.recover()
            for run in await store.claim(["embed"], 100):
                begun.append((run.id, str(run.attempt)))
                await store.finish(run, Ending(status=Status.SUCCEEDED, result='"test"'))
        kept = {run.id: run for run in await store.runs(count=1_000_000)}

    assert len(accepted) > 10, len(accepted)
    assert accepted <= set(kept)
    assert len(begun) == len(set(begun)), "An attempt was begun twice."
    for run in kept.values():
        assert 1 <= run.attempt <= run.max_attempts
        # Only who was killed between the start and the end of an attempt leaves a mark.
        assert [one.error for one in run.history] == ["interrupted"] * len(run.history)
        assert (run.status, len(run.history)) in {
            (Status.SUCCEEDED, run.attempt - 1), (Status.FAILED, run.max_attempts),
        }  # fmt: skip


async def test_half_written_files_of_a_killed_process_are_never_seen(where, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "film").write_bytes(b"whole")
    async with opened(where) as store, asyncio.timeout(60):
        await store.insert(NewRun(job="embed", max_attempts=2))
        with processes(where, "write_half", 1) as (process,):
            half = process.answer()
            assert await store.files.sweep() == 0
            process.kill()

        while not (lost := await store.recover()):
            await asyncio.sleep(0.05)
        assert (lost[0].status, lost[0].files) == (Status.QUEUED, ())
        (run,) = await store.claim(["embed"], 1)
        kept = await FilesKeeper(store.files, 100).keep(run, tmp_path / "new")
        run = await store.finish(run, Ending(status=Status.SUCCEEDED, folder=kept.folder, files=kept.files))

        assert ([file.path for file in run.files], run.attempt) == (["film"], 2)
        assert await store.files.read(run.folder, 0) == b"whole"
        assert await store.files.sweep() == 1
        assert await store.files.read(half, 0) == b""
        assert await store.files.read(run.folder, 0) == b"whole"
