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
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

from chutes.errors import StoreError
from chutes.jobs.database import Row, Step
from chutes.jobs.statements import MIGRATIONS
from chutes.jobs.work import Work, answer

__all__ = ["SQLite", "dialect", "migrate", "wall_clock"]

_LOOK_AROUND_SECONDS = 0.05
_LOCKED_SECONDS = 30.0
_LOCKED_LOOK_SECONDS = 0.001
_LARGEST_COMMIT = 256
# A commit is on the disk before it is answered.
_OPTIONS = ("synchronous = FULL",)
# So many free pages may stay in the file for what comes next; beyond that it is made shorter, a few pages at a time.
_FREE_PAGES = 1024
_INCREMENTAL = 2
_PAGES_AT_ONCE = 1024
_OLDEST_VERSION = (3, 35, 0)
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
        mounts: the file that lists the mounted file systems; without it none counts as a network's.
    """

    def __init__(
        self, path: Path, clock: Callable[[], int] = wall_clock, mounts: Path = Path("/proc/self/mounts")
    ) -> None:
        self.lease_ms = _NO_LEASE_MS
        self.changed: Callable[[], None] = _nothing
        self._path = path
        self._clock = clock
        self._mounts = mounts
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._workers = path.with_name(path.name + ".workers")
        self._own: IO[str] | None = None
        self._worker = ""
        self._seen = -1
        self._looked = 0.0

    async def open(self, worker: str) -> None:
        """Open the file and lock the worker's own beside it.

        Raises:
            StoreError: it is on a network, damaged, of a newer version, or cannot be written.
        """
        try:
            connection = await asyncio.to_thread(self._prepare, worker)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"The jobs database {self._path} cannot be used: {error}.") from error
        self._thread = threading.Thread(
            target=self._serve, args=(connection,), name="chutes-jobs-sqlite", daemon=True
        )
        self._thread.start()

    async def run(self, *steps: Step, write: bool = True) -> Sequence[Sequence[Row]]:
        """Run the steps in one transaction."""
        if self._thread is None:
            raise StoreError(f"The jobs database {self._path} is closed.")
        work = Work.of(steps, write=write)
        self._work.put(work)
        return await work.done

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

    def _prepare(self, worker: str) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < _OLDEST_VERSION:
            raise StoreError(
                f"This Python has SQLite {sqlite3.sqlite_version}, and jobs need 3.35 or newer. Use a newer Python, or set "
                "CHUTES_DATABASE_URL to a PostgreSQL."
            )
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind := _remote_kind(folder, self._mounts):
            raise StoreError(
                f"The jobs database {self._path} would lie on a network file system ({kind}), where SQLite loses data. Set "
                "CHUTES_HOME to a folder on a local disk, or CHUTES_DATABASE_URL to a PostgreSQL."
            )
        connection = self._connect()
        try:
            self._path.chmod(0o600)
            migrate(connection, str(self._path))
            self._lock(worker)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lock(self, worker: str) -> None:
        self._workers.mkdir(mode=0o700, exist_ok=True)
        # Nobody may see the file before it is locked.
        unseen = self._path.with_name(f".{worker}")
        self._own = unseen.open("w")
        fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(self._workers / worker)
        self._worker = worker
        # A child that this process forks would hold the lock after the death of its parent.
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _let_go(this()))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=_LOCKED_SECONDS, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.create_function("now_ms", 0, self._clock)
        # It says something about a new file alone: an old one keeps its free pages for what comes next.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _switch_to_wal(connection)
        for option in _OPTIONS:
            connection.execute(f"PRAGMA {option}")
        return connection

    def _serve(self, connection: sqlite3.Connection) -> None:
        """The thread: take what there is, write it in one commit, answer, look for the commits of others."""
        try:
            self._note_changes(connection)
            ended = False
            while not ended:
                works, ended = self._next()
                if works:
                    self._do(connection, works)
                    answer(works, self._explain)
                else:
                    _shorten(connection)
                if time.monotonic() - self._looked >= _LOOK_AROUND_SECONDS and self._note_changes(connection):
                    self.changed()
        finally:
            connection.close()

    def _next(self) -> tuple[list[Work], bool]:
        works: list[Work] = []
        try:
            one = self._work.get(timeout=_LOOK_AROUND_SECONDS)
            while one is not None:
                works.append(one)
                if len(works) == _LARGEST_COMMIT:
                    return works, False
                one = self._work.get_nowait()
        except queue.Empty:
            return works, False
        return works, True

    def _do(self, connection: sqlite3.Connection, works: list[Work]) -> None:
        writes = [work for work in works if work.write]
        if writes:
            try:
                _begin(connection)
                with _transaction(connection):
                    for work in writes:
                        _attempt(connection, work)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
                for work in writes:
                    work.error = work.error or error
        for work in works:
            if not work.write:
                try:
                    work.rows = _rows(connection, work)
                except Exception as error:  # noqa: BLE001 - likewise
                    work.error = error

    def _explain(self, error: Exception) -> StoreError:
        advice = (
            " Make room on that disk: nothing that was accepted is lost." if "is full" in str(error) else ""
        )
        return StoreError(f"The jobs database {self._path} failed: {error}.{advice}")

    def _note_changes(self, connection: sqlite3.Connection) -> bool:
        self._looked = time.monotonic()
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


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring the schema of a database up to date.

    Raises:
        StoreError: it is of a newer version.
    """
    connection.execute("BEGIN IMMEDIATE")
    with _transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StoreError(
                f"The jobs database {name} was written by a newer chutes (schema {version}, this one knows "
                f"{len(MIGRATIONS)}). Upgrade chutes here, or use another CHUTES_HOME."
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in script.split(";"):
                connection.execute(dialect(statement))
            connection.execute(f"PRAGMA user_version = {number}")


@lru_cache(maxsize=256)
def dialect(statement: str) -> str:
    """The text as SQLite has it."""
    text = statement.replace("{lock}", "").replace("{bytes}", "BLOB")
    text = text.replace("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT")
    # Read once in a statement, the clock can be compared with an index, and all rows get the same time.
    text = text.replace("now_ms()", "(SELECT now_ms())")
    return re.sub(r"elements\((:\w+)\)", r"SELECT value FROM json_each(\1)", text)


def _begin(connection: sqlite3.Connection) -> None:
    """Begin to write, as soon as no other process does.

    Raises:
        sqlite3.OperationalError: another one has been at it for half a minute.
    """
    deadline = time.monotonic() + _LOCKED_SECONDS
    # SQLite itself would look again after up to 100 ms, while the ends of runs wait to be stored.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_LOCKED_LOOK_SECONDS)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(_LOCKED_SECONDS * 1000)}")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _attempt(connection: sqlite3.Connection, work: Work) -> None:
    """Run the steps of one transaction; its failure leaves the others in the commit alone."""
    connection.execute("SAVEPOINT one")
    try:
        work.rows = _rows(connection, work)
    except Exception as error:
        if not connection.in_transaction:
            # A full disk, say, has ended the whole commit.
            raise
        work.error = error
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")


def _rows(connection: sqlite3.Connection, work: Work) -> list[list[Row]]:
    return [connection.execute(dialect(step.statement), step.values).fetchall() for step in work.steps]


def _shorten(connection: sqlite3.Connection) -> None:
    """Give back some of the disk that removed files have left free."""
    # Another process may be writing, or be at the same.
    with contextlib.suppress(sqlite3.Error):
        kind, free = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("auto_vacuum", "freelist_count")
        )
        if kind == _INCREMENTAL and free > _FREE_PAGES:
            # `execute` would do one page, and `fetchall` sees no rows after it.
            connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Others that start at the same moment may be at it, and SQLite does not wait for them here."""
    deadline = time.monotonic() + _LOCKED_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_AROUND_SECONDS)
        else:
            return


def _remote_kind(folder: Path, mounts: Path) -> str | None:
    """The kind of network file system that a folder lies on; None for a local one, and where nobody can tell."""
    if not mounts.exists():
        return None
    place, found = folder.resolve(), (Path("/"), "")
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _device, point, kind, *_ = line.split(" ")
        mount = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point))
        if (mount == place or mount in place.parents) and len(mount.parts) >= len(found[0].parts):
            found = mount, kind
    return found[1] if found[1].startswith(_REMOTE) else None


def _let_go(database: SQLite | None) -> None:
    """In a child of a fork: close its copy of the lock, which leaves the parent's alone."""
    if database is not None and (own := database._own) is not None:  # noqa: SLF001 - it is this module's
        database._own = None  # noqa: SLF001
        own.close()


def _nothing() -> None:
    """Nobody listens yet."""
