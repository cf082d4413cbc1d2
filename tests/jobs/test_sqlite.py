"""What only the database in a file must do."""

import asyncio
import contextlib
import itertools
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest

from chutes.errors import StoreError
from chutes.jobs import sqlite, statements, webhook_store
from chutes.jobs.database import Step
from chutes.jobs.run import Status
from chutes.jobs.sqlite import SQLite, dialect, wall_clock
from chutes.jobs.store import Ending, NewRun, Store

FINISHED_RUNS = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000)
    INSERT INTO chutes_runs(
        id, job, status, arguments, attempt, max_attempts, run_at, created_at, started_at, finished_at)
    SELECT printf('%032d', n), 'embed', 'succeeded', '{}', 1, 1, n, n, n, n FROM numbers
"""
LARGE = NewRun(job="embed", arguments='"' + "x" * 2000 + '"')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "jobs.db"


@pytest.fixture
async def store(path: Path):
    store = Store(SQLite(path), "test")
    await store.open()
    yield store
    await store.close()


async def fill(store: Store, accepted: list[str]) -> None:
    for _ in range(1000):
        run, _ = await store.insert(LARGE)
        accepted.append(run.id)


async def test_file_and_folder_are_their_owners_alone(store, path):
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert (path.parent / "jobs.db.workers" / "test").exists()


async def test_a_closed_database_says_so(path):
    database = SQLite(path)
    with pytest.raises(StoreError, match="is closed"):
        await database.run(Step(statements.WAITING))
    await database.open("test")
    await database.close()
    with pytest.raises(StoreError, match="is closed"):
        await database.run(Step(statements.WAITING))
    await database.close()


async def test_it_can_be_opened_again_and_has_everything(path):
    database = SQLite(path)
    store = Store(database, "test")
    await store.open()
    run, _ = await store.insert(NewRun(job="embed"))
    await store.close()
    await store.open()

    assert await store.get(run.id) == run
    await store.close()


async def test_a_schema_of_a_newer_version_is_refused(path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreError, match=r"newer chutes \(schema 99, this one knows \d+\). Upgrade"):
        await SQLite(path).open("test")


async def test_a_file_that_is_no_database_is_refused(path):
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(StoreError, match=r"jobs.db cannot be used: file is not a database"):
        await SQLite(path).open("test")


async def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="cannot be used: "):
        await SQLite(tmp_path / "file" / "jobs.db").open("test")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
async def test_a_network_file_system_is_refused(tmp_path, kind):
    shared = tmp_path / "a b" / "shared"
    mounts = tmp_path / "mounts"
    point = str(shared).replace(" ", r"\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/export {point} {kind} rw 0 0\n")

    with pytest.raises(
        StoreError, match=rf"network file system \({kind}\).*CHUTES_HOME.*CHUTES_DATABASE_URL"
    ):
        await SQLite(shared / "home" / "jobs.db", mounts=mounts).open("test")

    local = SQLite(tmp_path / "jobs.db", mounts=mounts)
    await local.open("test")
    await local.close()


async def test_the_file_system_that_was_mounted_last_counts(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs rw 0 0\n/dev/sdb {tmp_path} ext4 rw 0 0\n")

    database = SQLite(tmp_path / "jobs.db", mounts=mounts)
    await database.open("test")
    await database.close()


async def test_a_full_database_refuses_and_later_goes_on(path, monkeypatch):
    # Room for the tables, and little more.
    monkeypatch.setattr(sqlite, "_OPTIONS", (*sqlite._OPTIONS, "max_page_count = 40"))
    store = Store(SQLite(path), "test")
    await store.open()
    with pytest.raises(StoreError, match="full"):
        await fill(store, accepted := [])

    assert [run.id for run in await store.runs(count=1000)] == accepted[::-1]
    for run in await store.claim(["embed"], 1000):
        await store.finish(run, Ending(status=Status.SUCCEEDED))
    await asyncio.sleep(0.01)
    assert await store.purge(0) == len(accepted)
    await store.insert(LARGE)
    await store.close()


async def test_what_shares_a_commit_with_one_that_fills_the_disk_is_refused_as_one(path, monkeypatch):
    monkeypatch.setattr(sqlite, "_OPTIONS", (*sqlite._OPTIONS, "max_page_count = 60"))
    store = Store(SQLite(path), "test")
    await store.open()

    answers = await asyncio.gather(
        *(store.insert(LARGE) for _ in range(300)),
        return_exceptions=True,
    )

    accepted = {answer[0].id for answer in answers if isinstance(answer, tuple)}
    assert any(isinstance(answer, StoreError) for answer in answers)
    assert {run.id for run in await store.runs(count=1000)} == accepted
    await store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root may mount a file system.")
async def test_a_full_disk_refuses_and_later_goes_on(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("Nothing can be mounted in here.")
    try:
        store = Store(SQLite(disk / "jobs.db"), "test")
        await store.open()
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(StoreError, match="full"):
            await fill(store, accepted := [])
        ballast.unlink()
        assert [run.id for run in await store.runs(count=1000)] == accepted[::-1]
        run, _ = await store.insert(NewRun(job="embed"))
        assert await store.get(run.id) == run
        await store.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


async def test_a_value_that_cannot_be_stored_harms_nobody_else(store):
    answers = await asyncio.gather(
        store.insert(NewRun(job="embed")),
        store.insert(NewRun(job="embed", priority=2**70)),
        store.insert(NewRun(job="\ud800")),
        store.insert(NewRun(job="embed")),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers] == [tuple, StoreError, StoreError, tuple]
    assert len(await store.runs()) == 2


async def test_a_read_that_fails_says_so(store):
    with pytest.raises(StoreError, match="no such table: absent"):
        await store.database.run(Step("SELECT 1 FROM absent"), write=False)
    assert await store.runs() == []


async def test_a_clock_that_goes_back_makes_only_delays_longer(path):
    now = wall_clock()
    clock = [now]
    store = Store(SQLite(path, clock=lambda: clock[0]), "test")
    await store.open()
    late, _ = await store.insert(NewRun(job="embed", delay_ms=1000))
    first, _ = await store.insert(NewRun(job="embed"))
    clock[0] = now - 3_600_000
    second, _ = await store.insert(NewRun(job="embed"))

    claimed = await store.claim(["embed"], 3)
    assert {run.id for run in claimed} == {first.id, second.id}
    assert await store.next_in(["embed"]) == 3601
    assert await store.recover() == []
    ended = await store.finish(claimed[0], Ending(status=Status.SUCCEEDED))
    assert ended.finished_at == now - 3_600_000
    clock[0] = now + 1000
    assert [run.id for run in await store.claim(["embed"], 2)] == [late.id]
    await store.close()


async def test_a_worker_that_begins_while_another_one_looks_for_the_dead_keeps_its_runs(path):
    class Slow(SQLite):
        """Somebody else begins to work just after it has seen who lives."""

        async def live_workers(self):
            live = await super().live_workers()
            await newcomer.open()
            await newcomer.claim(["embed"], 1)
            return live

    newcomer, store = Store(SQLite(path), "newcomer"), Store(Slow(path), "test")
    await store.open()
    run, _ = await store.insert(NewRun(job="embed"))
    assert await store.recover() == []
    assert await newcomer.mine() == {(run.id, 1): False}
    await newcomer.close()
    await store.close()


async def test_a_clock_that_jumps_ahead_takes_no_run_from_a_living_worker(path):
    clock = [wall_clock()]
    store = Store(SQLite(path, clock=lambda: clock[0]), "test")
    await store.open()
    await store.insert(NewRun(job="embed"))
    await store.claim(["embed"], 1)
    clock[0] += 10 * 366 * 86_400_000

    assert await store.recover() == []
    await store.close()


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("CLAIM", "chutes_runs_claim"),
        ("NEXT", "chutes_runs_next"),
        ("MINE", "chutes_runs_running"),
        ("HOLDERS", "chutes_runs_running"),
        ("RECOVER", "chutes_runs_running"),
        ("PURGEABLE", "chutes_runs_finished"),
        ("LIST_OF_JOB", "chutes_runs_job"),
        ("CRON_INSERT", "chutes_runs_scheduled"),
        ("WAITING", "chutes_runs_running"),
    ],
)
async def test_an_index_without_finished_runs_finds_what_waits(store, path, statement, index):
    text = dialect(getattr(statements, statement))
    values = dict.fromkeys(re.findall(r":([a-z]\w*)", text), 1) | {"jobs": "[]", "dead": "[]", "ids": "[]"}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.create_function("now_ms", 0, wall_clock)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]

    assert any(index in line for line in plan), plan
    assert not any(line.startswith("SCAN chutes_runs") and "USING" not in line for line in plan), plan


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("CLAIM", "chutes_runs_webhooks"),
        ("DELIVERING", "chutes_runs_delivering"),
        ("NEXT", "chutes_runs_webhooks"),
        ("HOLDERS", "chutes_runs_delivering"),
        ("RECOVER", "chutes_runs_delivering"),
        ("WAITING", "chutes_runs_webhooks"),
    ],
)
async def test_an_index_of_what_is_to_be_told_finds_webhooks(store, path, statement, index):
    text = dialect(getattr(webhook_store, statement))
    values = dict.fromkeys(re.findall(r":([a-z]\w*)", text), 1) | {"dead": "[]"}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.create_function("now_ms", 0, wall_clock)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]

    assert any(index in line for line in plan), plan
    assert not any("chutes_runs_finished" in line for line in plan), plan


async def test_a_claim_takes_as_many_instructions_whatever_was_finished_before(store, path):
    async def instructions() -> int:
        for _ in range(3):
            await store.insert(NewRun(job="embed"))
        text = dialect(statements.CLAIM)
        values = {"worker": "x", "lease_ms": 1, "jobs": '["embed"]', "count": 1}
        taken = itertools.count()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.create_function("now_ms", 0, wall_clock)
            connection.set_progress_handler(lambda: next(taken) and 0, 10)
            assert len(connection.execute(text, values).fetchall()) == 1
        return 10 * next(taken)

    before = await instructions()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(FINISHED_RUNS)

    assert len(await store.runs(status=Status.SUCCEEDED, count=60_000)) == 50_000
    assert await instructions() < 3 * before + 500


async def test_the_program_says_when_its_sqlite_is_too_old(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(StoreError, match="Use a newer Python"):
        await SQLite(path).open("test")
