"""Files of attempts: which are kept, in every database and by a runner."""

import asyncio
import hashlib
import random
import sqlite3
import threading
from pathlib import Path

import pytest

from chutes.chute import Chute
from chutes.errors import StoreError
from chutes.jobs.files_kept import FilesKeeper, FilesNotKept
from chutes.jobs.files_store import CHUNK
from chutes.jobs.folders import Directories, remove_left_over
from chutes.jobs.memory import Memory
from chutes.jobs.run import Status
from chutes.jobs.runner import RunnerOptions
from chutes.jobs.store import Ending, NewRun, Store
from chutes.testing import async_wait_until
from support.background import running

LIMIT = 10 * CHUNK


@pytest.fixture
def chute():
    return Chute(username="me", name="files", image="python:3.12")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs" / "me.db"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where directories are made: for this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


async def claimed(store):
    await store.insert(NewRun(job="render"))
    (run,) = await store.claim(["render"], 1)
    return run


async def content(store, run, path):
    file = next(one for one in run.files if one.path == path)
    found = b""
    while len(found) < file.size:
        found += await store.files.read(run.folder, file.start + len(found))
    return found[: file.size]


async def test_files_of_any_size_come_back_as_they_were(store, tmp_path):
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    numbers = random.Random(7)
    contents = {
        f"deep/{size}.bin": numbers.randbytes(size)
        for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7)
    }
    for name, data in contents.items():
        (root / name).write_bytes(data)
    run = await claimed(store)

    kept = await FilesKeeper(store.files, LIMIT).keep(run, root)
    run = await store.finish(run, Ending(status=Status.SUCCEEDED, folder=kept.folder, files=kept.files))

    assert {file.path for file in run.files} == set(contents)
    for file in run.files:
        data = await content(store, run, file.path)
        assert data == contents[file.path]
        assert file.sha256 == hashlib.sha256(data).hexdigest()


async def test_an_attempt_that_was_lost_meanwhile_keeps_nothing(store, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    run = await claimed(store)
    await store.finish(run, Ending(status=Status.QUEUED))

    assert await FilesKeeper(store.files, LIMIT).keep(run, tmp_path) is None


async def test_files_that_cannot_be_kept_leave_nothing_behind(store, tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 100)
    run = await claimed(store)

    with pytest.raises(FilesNotKept) as refused:
        await FilesKeeper(store.files, 99).keep(run, tmp_path)

    assert refused.value.final
    await store.finish(run, Ending(status=Status.FAILED))
    assert await store.files.sweep() == 0


class Failing(Memory):
    """A database that is away for a number of statements."""

    def __init__(self, failures):
        super().__init__()
        self.failures = failures

    async def run(self, *steps, write=True):
        if "INSERT INTO chutes_chunks" in steps[0].statement and self.failures:
            self.failures -= 1
            raise StoreError("The jobs database is away.")
        return await super().run(*steps, write=write)


@pytest.mark.parametrize(("failures", "patience", "kept"), [(1, 60.0, True), (1000, 0.0, False)])
async def test_a_database_that_is_away_is_waited_for_but_not_for_ever(tmp_path, failures, patience, kept):
    (tmp_path / "a").write_bytes(b"a")
    store = Store(Failing(failures), "test")
    await store.open()
    run = await claimed(store)
    keeping = FilesKeeper(store.files, LIMIT, patience).keep(run, tmp_path)

    if kept:
        assert (await keeping).folder
    else:
        with pytest.raises(FilesNotKept, match="could not be stored") as refused:
            await keeping
        assert not refused.value.final
    await store.close()


async def test_a_run_keeps_the_files_of_the_attempt_that_succeeded(chute, path, temporary):
    @chute.job(retry_count=1)
    async def render(self):
        directory = self.jobs.current.directory
        assert directory is self.jobs.current.directory
        assert list(directory.iterdir()) == []
        (directory / f"attempt-{self.jobs.current.attempt}.txt").write_text("text")
        if self.jobs.current.attempt == 1:
            raise ValueError("broken")
        return str(directory)

    async with running(chute, path) as background:
        run = await background.done(await background.submit("render"))
        assert run.status is Status.SUCCEEDED
        assert [file.path for file in run.files] == ["attempt-2.txt"]
        assert await content(background.service.store, run, "attempt-2.txt") == b"text"
        assert not Path(run.shown()["result"]).exists()
    assert list(temporary.iterdir()) == []


async def test_who_asks_for_no_directory_has_none(chute, path, temporary):
    @chute.job()
    async def plain(self):
        return 1

    async with running(chute, path) as background:
        run = await background.done(await background.submit("plain"))
        assert (run.folder, run.files) == (None, ())
        assert list(temporary.iterdir()) == []


async def test_a_plain_function_that_fails_for_good_leaves_its_files(chute, path):
    @chute.job(retry_count=0)
    def render(self):
        (self.jobs.current.directory / "core.txt").write_text("why")
        raise ValueError("broken")

    async with running(chute, path) as background:
        run = await background.done(await background.submit("render"))
        assert run.status is Status.FAILED
        assert [file.path for file in run.files] == ["core.txt"]


async def test_a_cancelled_run_leaves_the_files_of_code_that_ended(chute, path):
    @chute.job()
    async def train(self):
        (self.jobs.current.directory / "checkpoint").write_text("1")
        await asyncio.sleep(600)

    async with running(chute, path) as background:
        run = await background.submit("train")
        await async_wait_until(lambda: background.runner.running == 1, 30)
        made = background.runner._executions[run.id].directory
        await async_wait_until(lambda: made.made is not None, 30)
        await run.cancel()
        ended = await background.done(run)
        assert ended.status is Status.CANCELLED
        assert [file.path for file in ended.files] == ["checkpoint"]


async def test_code_that_goes_on_after_its_time_leaves_no_files(chute, path, temporary):
    go_on = threading.Event()

    @chute.job(retry_count=0, timeout=0.2)
    def stubborn(self):
        (self.jobs.current.directory / "half").write_text("half")
        go_on.wait(60)
        (self.jobs.current.directory / "late").write_text("late")

    async with running(chute, path) as background:
        run = await background.done(await background.submit("stubborn"))
        assert run.status is Status.FAILED
        assert run.files == ()
        go_on.set()
        await async_wait_until(lambda: background.runner.running == 0, 30)
        await async_wait_until(lambda: [one.name for one in temporary.glob("*/*")] == ["lock"], 30)


async def test_too_many_bytes_fail_the_run_at_once(chute, path):
    @chute.job(retry_count=3)
    async def render(self):
        (self.jobs.current.directory / "film.mp4").write_bytes(b"x" * 1001)

    options = RunnerOptions(max_files_size=1000)
    async with running(chute, path, options=options) as background:
        run = await background.done(await background.submit("render"))

    assert (run.status, run.attempt, run.files) == (Status.FAILED, 1, ())
    assert "The files have 1001 bytes together; 1000 are kept" in run.error
    assert "'film.mp4' has 1001" in run.error
    assert "CHUTES_JOBS_MAX_FILES_SIZE" in run.error


async def test_what_is_left_out_is_said_in_the_log_of_the_run(chute, path):
    @chute.job()
    async def render(self, output_dir: str):
        Path(output_dir, "passwd").symlink_to("/etc/passwd")
        Path(output_dir, "kept").write_text("kept")

    async with running(chute, path) as background:
        run = await background.done(await background.submit("render"))
        events = await background.service.store.events(run.id)

    assert [file.path for file in run.files] == ["kept"]
    assert ["'passwd' is a symbolic link" in event.data for event in events] == [True]


async def test_a_job_may_say_that_its_files_are_not_to_be_kept(chute, path, temporary):
    @chute.job(upload=False)
    async def render(self):
        (self.jobs.current.directory / "scratch").write_text("scratch")
        return 1

    async with running(chute, path) as background:
        run = await background.done(await background.submit("render"))
        assert (run.status, run.files) == (Status.SUCCEEDED, ())
    assert list(temporary.iterdir()) == []


async def test_a_function_may_remove_its_directory(chute, path):
    @chute.job()
    async def render(self):
        self.jobs.current.directory.rmdir()
        return 1

    async with running(chute, path) as background:
        run = await background.done(await background.submit("render"))
    assert (run.status, run.files) == (Status.SUCCEEDED, ())


def test_what_killed_processes_left_is_removed_and_what_others_use_is_not(temporary, tmp_path):
    used = Directories()
    in_use = used.make("render")
    killed = Directories()
    (killed.make("render") / "half").write_text("half")
    # The kernel lets go of a lock when a process dies.
    killed._lock.close()
    (temporary / "chutes-jobs-link").symlink_to(tmp_path)
    (temporary / "chutes-jobs-unlocked-yet").mkdir()

    remove_left_over()

    assert in_use.is_dir()
    assert sorted(one.name for one in temporary.iterdir()) == sorted(
        ["chutes-jobs-link", "chutes-jobs-unlocked-yet", in_use.parent.name]
    )
    in_use.rmdir()
    used.close()
    assert not in_use.parent.exists()


async def test_the_file_of_the_database_shrinks_when_files_are_removed(chute, path):
    @chute.job()
    async def render(self):
        (self.jobs.current.directory / "large").write_bytes(b"x" * 8 * CHUNK)

    def size():
        with sqlite3.connect(path) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.close()
        return pages * 4096

    async with running(chute, path) as background:
        await background.done(await background.submit("render"))
        assert size() > 8 * CHUNK
        await background.service.store.purge(-1)
        await async_wait_until(lambda: size() < 6 * CHUNK, 30)
