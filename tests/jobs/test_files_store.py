"""The bytes of files in every database: pieces, fences, and what is swept away."""

import contextlib
import secrets
import sqlite3

import asyncpg
import pytest

from chutes.jobs import postgres
from chutes.jobs.files import File, content_type_of, files_text, read_files
from chutes.jobs.files_store import CHUNK
from chutes.jobs.postgres import Postgres
from chutes.jobs.run import Status
from chutes.jobs.sqlite import SQLite, dialect
from chutes.jobs.statements import MIGRATIONS
from chutes.jobs.store import Ending, NewRun, Store

FILES = files_text(
    [File(path="a.bin", size=CHUNK + 3, content_type="application/octet-stream", sha256="00", start=0)]
)


async def begun(store):
    await store.insert(NewRun(job="render"))
    (run,) = await store.claim(["render"], 1)
    return run


async def written(store, run, *pieces):
    folder = await store.files.begin(run)
    start = 0
    for piece in pieces:
        assert await store.files.add(folder, start, piece)
        start += len(piece)
    return folder


async def ended(store, run, status=Status.SUCCEEDED, folder=None):
    return await store.finish(
        run, Ending(status=status, result="1", folder=folder, files=folder and FILES, history="")
    )


async def test_pieces_are_read_from_any_position(store):
    run = await begun(store)
    folder = await written(store, run, b"a" * CHUNK, b"bcd")
    run = await ended(store, run, folder=folder)

    assert run.folder == folder
    assert [file.path for file in run.files] == ["a.bin"]
    assert await store.files.read(folder, 0) == b"a" * CHUNK
    assert await store.files.read(folder, CHUNK - 2) == b"aa"
    assert await store.files.read(folder, CHUNK + 1) == b"cd"
    assert await store.files.read(folder, CHUNK + 3) == b""
    assert await store.files.read("unknown", 0) == b""


async def test_a_piece_that_is_written_once_more_is_there_once(store):
    run = await begun(store)
    folder = await written(store, run, b"abc")

    assert await store.files.add(folder, 0, b"abc")
    assert await store.files.read(folder, 0) == b"abc"


async def test_who_lost_the_attempt_writes_nothing(new_store):
    store, other = await new_store(), await new_store()
    run = await begun(store)
    folder = await written(store, run, b"old")
    assert await store.finish(run, Ending(status=Status.QUEUED))
    (again,) = await other.claim(["render"], 1)

    assert not await store.files.add(folder, 3, b"late")
    assert await store.files.begin(run) is None
    assert await ended(store, run, folder=folder) is None

    now = await ended(other, again, folder=await written(other, again, b"new"))
    assert await other.files.read(now.folder, 0) == b"new"
    assert await other.files.sweep() == 1
    assert await other.files.read(folder, 0) == b""
    assert await other.files.read(now.folder, 0) == b"new"


async def test_what_is_being_written_is_not_swept(new_store):
    store, other = await new_store(), await new_store()
    run = await begun(store)
    folder = await written(store, run, b"abc")

    assert await other.files.sweep() == 0
    assert await store.files.add(folder, 3, b"def")
    await ended(store, run, folder=folder)
    assert await other.files.sweep() == 0
    assert await other.files.read(folder, 3) == b"def"


async def test_a_folder_of_many_chunks_is_removed_whole(store):
    run = await begun(store)
    folder = await written(store, run, *[b"x"] * 20)
    await store.files.remove(folder)

    assert [await store.files.read(folder, at) for at in range(20)] == [b""] * 20
    assert not await store.files.add(folder, 20, b"late")
    await ended(store, run)
    assert await store.files.sweep() == 0


async def test_old_runs_take_their_files_along(store):
    run = await begun(store)
    folder = await written(store, run, b"abc")
    await ended(store, run, folder=folder)

    assert await store.purge(-1) == 1
    assert await store.files.read(folder, 0) == b""
    assert await store.files.sweep() == 0


async def test_a_run_that_is_queued_again_has_no_files(store):
    run = await begun(store)
    folder = await written(store, run, b"abc")
    await ended(store, run, Status.FAILED, folder)

    again = await store.retry(run.id, 1)

    assert (again.folder, again.files) == (None, ())
    assert await store.files.sweep() == 1


def test_files_follow_each_other():
    a, b = read_files('[["a", 5, "text/plain", "x"], ["b/c", 7, "text/plain", "y"]]')

    assert (a.start, b.start, b.path, b.size) == (0, 5, "b/c", 7)
    assert read_files(files_text([a, b])) == (a, b)
    assert read_files(None) == ()


OLD_RUN = """
    INSERT INTO chutes_runs(id, job, status, arguments, max_attempts, run_at, created_at)
    VALUES('old', 'render', 'queued', '{}', 1, 0, 0)
"""


async def test_a_file_of_the_first_version_is_upgraded(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        for statement in MIGRATIONS[0].split(";"):
            connection.execute(dialect(statement))
        connection.execute(OLD_RUN)
        connection.execute("PRAGMA user_version = 1")
        connection.commit()

    await check_an_upgraded_store(Store(SQLite(tmp_path / "jobs.db"), "test"))


async def test_a_schema_of_the_first_version_is_upgraded(postgres_server):
    schema = f"test_{secrets.token_hex(8)}"
    connection = await asyncpg.connect(postgres_server.url())
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.execute(f"CREATE TABLE {schema}.chutes_schema(version BIGINT NOT NULL)")
        await connection.execute(f"INSERT INTO {schema}.chutes_schema VALUES(1)")
        for statement in (MIGRATIONS[0], OLD_RUN):
            await connection.execute(postgres._dialect(statement, schema)[0])
    finally:
        await connection.close()

    await check_an_upgraded_store(Store(Postgres(postgres_server.url(), schema), "test"))


async def check_an_upgraded_store(store):
    await store.open()
    (run,) = await store.claim(["render"], 1)
    folder = await written(store, run, b"abc")

    assert run.id == "old"
    assert run.files == ()
    assert (await ended(store, run, folder=folder)).folder == folder
    await store.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.png", "image/png"),
        ("b/a.JSON", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("a.csv.bz2", "application/x-bzip2"),
        ("a.txt.Z", "application/octet-stream"),
        ("a.safetensors", "application/octet-stream"),
        ("a.html/b", "application/octet-stream"),
    ],
)
def test_the_end_of_a_name_says_the_type(path, kind):
    assert content_type_of(path) == kind
