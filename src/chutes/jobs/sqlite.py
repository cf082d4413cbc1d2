"""Runs in an SQLite file on a local disk, for the processes of one machine."""

import asyncio
import contextlib
import fcntl
import os
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

from chutes.errors import StoreError
from chutes.jobs.database import Row, Step
from chutes.jobs.statements import MIGRATIONS

__all__ = ["SQLite", "wall_clock"]

_LOOK_AROUND_SECONDS = 0.05
_LOCKED_SECONDS = 30.0
_LARGEST_COMMIT = 256
_NO_LEASE_MS = 100 * 366 * 86_400_000
_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
)


def wall_clock() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True, eq=False)
class _Work:
    """One transaction that somebody waits for."""

    steps: tuple[Step, ...]
    write: bool
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[list[list[Row]]]"
    rows: list[list[Row]] = field(default_factory=list)
    error: Exception | None = None


class SQLite:
    """One connection on a thread of its own: what arrives while a commit is written shares the next one.

    Attributes:
        changed: called from its thread when another process has written.
        lease_ms: longer than any worker lives: the lock says who is alive.

    A commit returns when the disk has it. Whether a worker is alive is seen from a lock on a file that it holds: the
    kernel lets go of it the moment the process dies, however it dies.

    Args:
        path: the database file; its folder is made when missing.
        clock: milliseconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = wall_clock) -> None:
        self.lease_ms = _NO_LEASE_MS
        self.changed: Callable[[], None] = _nothing
        self._path = path
        self._clock = clock
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._workers = path.with_name(path.name + ".workers")
        self._own: IO[str] | None = None
        self._worker = ""
        self._seen = -1

    async def open(self, worker: str) -> None:
        """Open the file and lock the worker's own beside it.

        Raises:
            StoreError: it is on a network, damaged, of a newer version, or cannot be written.
        """
        try:
            await asyncio.to_thread(self._prepare, worker)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"The jobs database {self._path} cannot be used: {error}.") from error
        self._thread = threading.Thread(target=self._serve, name="chutes-jobs-sqlite", daemon=True)
        self._thread.start()

    async def run(self, *steps: Step, write: bool = True) -> Sequence[Sequence[Row]]:
        """Run the steps in one transaction."""
        if self._thread is None:
            raise StoreError(f"The jobs database {self._path} is closed.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[list[Row]]] = loop.create_future()
        self._work.put(_Work(steps, write, loop, done))
        return await done

    async def live_workers(self) -> Sequence[str] | None:
        """Workers whose lock is held; the files that others left behind are removed."""
        return await asyncio.to_thread(self._live)

    async def close(self) -> None:
        """End the thread, and let go of the worker's lock."""
        if self._thread is None:
            return
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None
        if self._own is not None:
            (self._workers / self._worker).unlink(missing_ok=True)
            self._own.close()
            self._own = None

    def _prepare(self, worker: str) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind := _remote_kind(folder):
            raise StoreError(
                f"The jobs database {self._path} would lie on a network file system ({kind}), where SQLite loses data. Set "
                "CHUTES_HOME to a folder on a local disk, or CHUTES_DATABASE_URL to a PostgreSQL."
            )
        with contextlib.closing(self._connect()) as connection:
            self._path.chmod(0o600)
            self._migrate(connection)
        self._workers.mkdir(mode=0o700, exist_ok=True)
        # Nobody may see the file before it is locked.
        unseen = self._path.with_name(f".{worker}")
        self._own = unseen.open("w")
        fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(self._workers / worker)
        self._worker = worker

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=_LOCKED_SECONDS, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.create_function("now_ms", 0, self._clock)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        with _transaction(connection):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"The jobs database {self._path} was written by a newer chutes (schema {version}, this one knows "
                    f"{len(MIGRATIONS)}). Upgrade chutes here, or use another CHUTES_HOME."
                )
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in script.split(";"):
                    connection.execute(_dialect(statement))
                connection.execute(f"PRAGMA user_version = {number}")

    def _serve(self) -> None:
        """The thread: take what there is, write it in one commit, answer, look for the commits of others."""
        connection = self._connect()
        try:
            self._note_changes(connection)
            ended = False
            while not ended:
                work, ended = self._next()
                if work:
                    self._do(connection, work)
                elif self._note_changes(connection):
                    self.changed()
        finally:
            connection.close()

    def _next(self) -> tuple[list[_Work], bool]:
        work: list[_Work] = []
        try:
            one = self._work.get(timeout=_LOOK_AROUND_SECONDS)
            while one is not None:
                work.append(one)
                if len(work) == _LARGEST_COMMIT:
                    return work, False
                one = self._work.get_nowait()
        except queue.Empty:
            return work, False
        return work, True

    def _do(self, connection: sqlite3.Connection, work: list[_Work]) -> None:
        writes = [one for one in work if one.write]
        if writes:
            try:
                connection.execute("BEGIN IMMEDIATE")
                with _transaction(connection):
                    for one in writes:
                        self._attempt(connection, one)
            except sqlite3.Error as error:
                for one in writes:
                    one.error = one.error or error
        for one in work:
            if not one.write:
                with contextlib.suppress(sqlite3.Error):
                    self._attempt(connection, one, savepoint=False)
        for loop in {one.loop for one in work}:
            # One hop for each commit, not for each transaction in it.
            mine = [one for one in work if one.loop is loop]
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._answer, mine)

    def _attempt(self, connection: sqlite3.Connection, work: _Work, *, savepoint: bool = True) -> None:
        """Run the steps of one transaction; its failure leaves the others in the commit alone."""
        if savepoint:
            connection.execute("SAVEPOINT one")
        try:
            for step in work.steps:
                work.rows.append(connection.execute(_dialect(step.statement), step.values).fetchall())
        except sqlite3.Error as error:
            work.error = error
            if savepoint and connection.in_transaction:
                connection.execute("ROLLBACK TO one")
        if savepoint and connection.in_transaction:
            connection.execute("RELEASE one")

    def _answer(self, work: list[_Work]) -> None:
        for one in work:
            if one.done.done():
                continue
            if one.error is None:
                one.done.set_result(one.rows)
            else:
                error = StoreError(f"The jobs database {self._path} failed: {one.error}.")
                error.__cause__ = one.error
                one.done.set_exception(error)

    def _note_changes(self, connection: sqlite3.Connection) -> bool:
        with contextlib.suppress(sqlite3.Error):
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen:
                self._seen = version
                return True
        return False

    def _live(self) -> list[str]:
        live = [self._worker]
        for entry in list(os.scandir(self._workers)):
            if entry.name == self._worker:
                continue
            try:
                with Path(entry.path).open() as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    Path(entry.path).unlink()
            except BlockingIOError:
                live.append(entry.name)
            except FileNotFoundError:
                # Another worker was quicker to remove it.
                continue
        return live


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@lru_cache(maxsize=64)
def _dialect(statement: str) -> str:
    text = statement.replace("{lock}", "").replace("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT")
    return re.sub(r"elements\((:\w+)\)", r"SELECT value FROM json_each(\1)", text)


def _remote_kind(folder: Path) -> str | None:
    """The kind of network file system that a folder lies on; None for a local one, and where nobody can tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return None
    place, found = folder.resolve(), (Path("/"), "")
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _device, point, kind, *_ = line.split(" ")
        mount = Path(point.encode().decode("unicode_escape"))
        if (mount == place or mount in place.parents) and len(mount.parts) >= len(found[0].parts):
            found = mount, kind
    return found[1] if found[1].startswith(_REMOTE) else None


def _nothing() -> None:
    """Nobody listens yet."""
