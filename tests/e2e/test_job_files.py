"""Files of jobs of a served chute: large ones, and those of a process that is killed while it keeps them."""

import contextlib
import hashlib
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from chutes.client import Client

PIECES = 64
MEBIBYTE = 1024 * 1024
# The database's own memory, buffers, and what a machine makes of them: far less than the file.
ALLOWED = 32 * MEBIBYTE


@pytest.fixture
def home(tmp_path):
    return {"CHUTES_HOME": str(tmp_path / "home")}


def peak(chute):
    """The most memory that a process has had at once."""
    text = Path(f"/proc/{chute.process.pid}/status").read_text()
    return 1024 * int(re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)[1])


def chunks(tmp_path):
    """How many pieces of files are in the database, seen or not; None while it is busy."""
    path = tmp_path / "home" / "jobs" / "me.filing.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM chutes_chunks").fetchone()[0]
        except sqlite3.OperationalError:
            return None


def is_whole(film, pieces, attempt):
    """Whether it is what this attempt wrote; read in pieces, for it is large."""
    digest = hashlib.sha256()
    for number in range(pieces):
        digest.update(f"{attempt}:{number:06}:".encode() * (MEBIBYTE // 9 + 1))
    with film.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest.hexdigest()


def test_a_large_file_takes_no_memory(serve, tmp_path, home):
    with serve("apps/filing.py", **home) as chute, Client(chute.url) as client:
        small = client.jobs.submit("render", pieces=1)
        small.result(timeout=60)
        small.download("film.bin", tmp_path / "small.bin")
        before = peak(chute)

        run = client.jobs.submit("render", pieces=PIECES)
        assert run.result(timeout=120) == 1
        film = run.download("film.bin", tmp_path / "film.bin")
        grown = peak(chute) - before

    assert film.stat().st_size > PIECES * MEBIBYTE
    assert is_whole(film, PIECES, 1)
    assert grown < ALLOWED, f"{grown / MEBIBYTE:.0f} MiB more than before"


def test_a_process_that_is_killed_while_it_keeps_files_shows_none_of_them(serve, tmp_path, home):
    with serve("apps/filing.py", **home) as chute:
        with Client(chute.url) as client:
            run = client.jobs.submit("render", pieces=PIECES)
        chute.wait_until(lambda: (chunks(tmp_path) or 0) > 2)
        chute.stop(signal.SIGKILL)

    with serve("apps/filing.py", **home) as chute, Client(chute.url) as client:
        run = client.jobs.run(run.id, "render")
        attempt = run.result(timeout=120)
        files = [file["path"] for file in run.files()]
        film = run.download("film.bin", tmp_path / "film.bin")
        size = film.stat().st_size + 1
        # What the killed process had written is swept away.
        chute.wait_until(lambda: chunks(tmp_path) == -(-size // MEBIBYTE))

    assert files == [f"attempt-{attempt}.txt", "film.bin"]
    assert is_whole(film, PIECES, attempt)
