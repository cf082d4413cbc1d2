"""Runs in a PostgreSQL, for the processes of any number of machines."""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import logging
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import Any

from chutes.errors import StoreError
from chutes.jobs import statements as sql
from chutes.jobs.database import Row, Step
from chutes.jobs.driver import driver, explain, failures, split_cache_size, was_refused, without_secrets
from chutes.jobs.outage import Outage
from chutes.jobs.unsettled import UnsettledError
from chutes.jobs.work import Work, answer

__all__ = ["Postgres"]

_logger = logging.getLogger("chutes.jobs.postgres")

_LEASE_MS = 10_000
_MOST_CONNECTIONS = 8
_CONNECT_SECONDS = 10.0
_COMMAND_SECONDS = 30.0
_RECONNECT_SECONDS = 0.5
_NOTIFY_SECONDS = 0.005
_LARGEST_GROUP = 500
_DEADLOCK_TRIES = 3
_LONGEST_NAME = 63
# Locks are numbers of one's own choice; the second number, that of the schema, comes beside each.
_TABLES_LOCK = 0x6368_0001
_EVENTS_LOCK = 0x6368_0002
_LOCK = "SELECT pg_advisory_xact_lock($1, hashtext($2))"
_GROUPED = frozenset({sql.INSERT, sql.FINISH})
_NOW = "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"


class Postgres:
    """A few connections, on a thread with an event loop of its own.

    What is submitted, or ends, while a round trip is under way shares the next one. Leases are renewed from the thread,
    so that code that blocks the caller's event loop keeps its runs. The clock is that of the database.

    Attributes:
        changed: called from its thread when another process has changed something, and at each renewal.
        lease_ms: for which a worker that died keeps its runs from the others.

    Behind a PgBouncer that pools transactions, write `?statement_cache_size=0` at the end of the address. No word of other
    processes comes through it: their changes are seen at the next renewal, some three seconds later at most.

    Args:
        url: `postgresql://user:password@host:5432/database`, with the parameters that libpq knows.
        schema: PostgreSQL's name space of the tables, created when missing: several chutes may share a database.
    """

    def __init__(self, url: str, schema: str = "chutes") -> None:
        self.lease_ms = _LEASE_MS
        self.changed: Callable[[], None] = _nothing
        self._where = without_secrets(url)
        self._explain = partial(explain, self._where)
        self._url, self._cache = split_cache_size(url)
        self._schema = _short(schema)
        self._worker = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._pool: Any = None
        self._arrived: deque[Work] = deque()
        self._awake = False
        self._groups: dict[str, list[Work]] = {statement: [] for statement in _GROUPED}
        self._tasks: set[asyncio.Task[None]] = set()
        self._flushing: set[str] = set()
        self._notify_due = False

    def __repr__(self) -> str:
        return f"Postgres({self._where!r})"

    async def open(self, worker: str) -> None:
        """Connect, and create or upgrade the tables.

        Raises:
            StoreError: the driver is missing, the server cannot be reached or refuses, or the schema is of a newer version.
        """
        driver()
        self._worker = worker
        opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        opened.set_running_or_notify_cancel()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(opened)), name="chutes-jobs-postgres", daemon=True
        )
        self._thread.start()
        try:
            await asyncio.wrap_future(opened)
        except BaseException:
            await self.close()
            raise

    async def run(self, *steps: Step, write: bool = True) -> Sequence[Sequence[Row]]:
        """Run the steps in one transaction.

        Raises:
            StoreError: it failed. When the connection broke, nobody can tell whether the commit had happened.
        """
        if self._loop is None or self._thread is None:
            raise StoreError(f"The jobs database {self._where} is closed.")
        work = Work.of(steps, write=write)
        self._arrived.append(work)
        if not self._awake:
            # One hop to the thread brings all that arrives before it.
            self._awake = True
            try:
                self._loop.call_soon_threadsafe(self._take)
            except RuntimeError:
                raise StoreError(f"The jobs database {self._where} is closed.") from None
        return await work.done

    async def live_workers(self) -> Sequence[str] | None:
        """None: only leases tell."""
        return None

    async def close(self) -> None:
        """Finish what is under way, and disconnect; leases run out by themselves."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)
        await asyncio.to_thread(thread.join)
        self._loop = None

    async def _serve(self, opened: "concurrent.futures.Future[None]") -> None:
        """The thread: everything below runs in its loop."""
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            await self._prepare()
        except Exception as error:  # noqa: BLE001 - the edge of the thread: who opens it gets the error
            self._loop = None
            opened.set_exception(self._explain(error))
            if self._pool is not None:
                self._pool.terminate()
            return
        watcher = asyncio.create_task(self._watch())
        opened.set_result(None)
        await self._ended.wait()
        watcher.cancel()
        await asyncio.wait([watcher])
        self._take()
        while self._tasks:
            await asyncio.wait(self._tasks)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._pool.close()
        except failures():
            self._pool.terminate()

    async def _prepare(self) -> None:
        self._pool = await driver().create_pool(
            self._url, min_size=0, max_size=_MOST_CONNECTIONS, reset=_leave_as_it_is, **self._options()
        )
        async with self._pool.acquire() as connection, connection.transaction():
            # Without the lock, two that start at once both create the tables.
            await connection.execute(_LOCK, _TABLES_LOCK, self._schema)
            await self._migrate(connection)

    def _options(self) -> dict[str, Any]:
        return {
            "timeout": _CONNECT_SECONDS,
            "command_timeout": _COMMAND_SECONDS,
            "statement_cache_size": self._cache,
            "server_settings": {"application_name": "chutes"},
        }

    async def _migrate(self, connection: Any) -> None:
        name, version = _quoted(self._schema), 0
        table = f"{name}.chutes_schema"
        # Who may not create schemas can still use one.
        if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", name):
            await connection.execute(f"CREATE SCHEMA {name}")
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
            version = await connection.fetchval(f"SELECT version FROM {table}")  # noqa: S608 - quoted
        else:
            await connection.execute(f"CREATE TABLE {table}(version BIGINT NOT NULL)")
            await connection.execute(f"INSERT INTO {table}(version) VALUES(0)")
        if version > len(sql.MIGRATIONS):
            raise StoreError(
                f"The jobs database {self._where} was written by a newer chutes (schema {version}, this one knows "
                f"{len(sql.MIGRATIONS)}). Upgrade chutes here, or use another CHUTES_DATABASE_URL."
            )
        for script in sql.MIGRATIONS[version:]:
            await connection.execute(_dialect(script, self._schema)[0])
        if version < len(sql.MIGRATIONS):
            await connection.execute(f"UPDATE {table} SET version = $1", len(sql.MIGRATIONS))  # noqa: S608 - quoted

    def _take(self) -> None:
        self._awake = False
        while self._arrived:
            work = self._arrived.popleft()
            statement = work.steps[0].statement if len(work.steps) == 1 else ""
            if statement in self._groups:
                self._groups[statement].append(work)
                if statement not in self._flushing:
                    self._flushing.add(statement)
                    self._begin(self._flush(statement))
            else:
                self._begin(self._do(work))

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self, statement: str) -> None:
        group = self._groups[statement]
        while group:
            # Rows are told apart by their ids, so each run comes once in a group.
            chosen = {work.steps[0].values["id"]: work for work in reversed(group[:_LARGEST_GROUP])}
            works = [work for work in group if chosen.get(work.steps[0].values["id"]) is work]
            group[:] = [work for work in group if chosen.get(work.steps[0].values["id"]) is not work]
            await self._do_together(statement, works)
        self._flushing.discard(statement)

    async def _do_together(self, statement: str, works: list[Work]) -> None:
        text, names = _dialect(statement, self._schema)
        values = [_values(work.steps[0].values, names) for work in works]
        try:
            async with self._connection(in_transaction=False) as connection:
                rows = await connection.fetchmany(text, values)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
            if len(works) > 1 and was_refused(error):
                # One that cannot be stored must not take the others along.
                for work in works:
                    await self._do(work)
                return
            for work in works:
                work.error = error
        else:
            by_id = {row["id"]: row for row in rows}
            for work in works:
                row = by_id.get(work.steps[0].values["id"])
                work.rows.append([] if row is None else [row])
        self._finish(works)

    async def _do(self, work: Work) -> None:
        for tries_left in reversed(range(_DEADLOCK_TRIES)):
            try:
                work.rows = await self._transaction(work.steps)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
                if tries_left and type(error).__name__ == "DeadlockDetectedError":
                    continue
                work.error = error
            break
        self._finish([work])

    async def _transaction(self, steps: tuple[Step, ...]) -> list[list[Row]]:
        statements = [step.statement for step in steps]
        rows: list[list[Row]] = []
        async with self._connection(
            in_transaction=len(steps) > 1 or sql.ADD_EVENT in statements
        ) as connection:
            if sql.ADD_EVENT in statements:
                # Numbers are drawn before the commit. Who reads on after the last one may not miss a lower one.
                await connection.execute(_LOCK, _EVENTS_LOCK, self._schema)
            for statement, alike in groupby(steps, key=lambda step: step.statement):
                text, names = _dialect(statement, self._schema)
                values = [_values(step.values, names) for step in alike]
                if len(values) > 1 and "RETURNING" not in text:
                    await connection.executemany(text, values)
                    rows += [[]] * len(values)
                else:
                    rows += [await connection.fetch(text, *each) for each in values]
        return rows

    @contextlib.asynccontextmanager
    async def _connection(self, *, in_transaction: bool) -> AsyncIterator[Any]:
        async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
            # A PgBouncer keeps to one server during a transaction only, and without a cache each statement takes two trips.
            try:
                if in_transaction or not self._cache:
                    async with connection.transaction():
                        yield connection
                else:
                    yield connection
            except failures() as error:
                if was_refused(error):
                    raise
                raise UnsettledError(str(self._explain(error))) from error

    def _finish(self, works: list[Work]) -> None:
        answer(works, self._explain)
        if any(_has_changed_something(work) for work in works) and not self._notify_due:
            self._notify_due = True
            self._begin(self._notify())

    async def _notify(self) -> None:
        """Tell the others once for all that was committed meanwhile."""
        await asyncio.sleep(_NOTIFY_SECONDS)
        self._notify_due = False
        with contextlib.suppress(*failures(), StoreError):
            async with self._connection(in_transaction=False) as connection:
                await connection.execute("SELECT pg_notify($1, $2)", self._schema, self._worker)

    async def _watch(self) -> None:
        """Renew the leases and listen for the others, over as many connections as it takes."""
        outage = Outage(_logger, "Leases of jobs are not being renewed.", "Leases are being renewed.")
        while True:
            try:
                await self._watch_connected(outage)
            except failures() as error:
                outage.begin(self._explain(error))
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _watch_connected(self, outage: Outage) -> None:
        options = self._options() | {"command_timeout": self.lease_ms / 3000}
        connection = await driver().connect(self._url, **options)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        text, names = _dialect(sql.BEAT, self._schema)
        values = _values({"worker": self._worker, "lease_ms": self.lease_ms}, names)
        try:
            await connection.add_listener(self._schema, self._hear)
            while not lost.is_set():
                async with connection.transaction():
                    await connection.execute(text, *values)
                outage.end()
                self.changed()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), self.lease_ms / 3000)
        finally:
            connection.terminate()

    def _hear(self, _connection: object, _pid: int, _channel: str, worker: str) -> None:
        if worker != self._worker:
            self.changed()


def _has_changed_something(work: Work) -> bool:
    if work.error is not None or not work.write:
        return False
    # Who claims in vain wakes nobody, else idle workers would wake each other for ever.
    return any(work.rows) or any("RETURNING" not in step.statement for step in work.steps)


@lru_cache(maxsize=256)
def _dialect(statement: str, schema: str) -> tuple[str, tuple[str, ...]]:
    """The text as PostgreSQL has it, and the names of its values in order."""
    text = re.sub(r"\b(chutes_(?:runs|cron|events|folders|chunks))\b", rf"{_quoted(schema)}.\1", statement)
    text = text.replace("now_ms()", _NOW).replace("{lock}", "FOR UPDATE SKIP LOCKED")
    text = text.replace("{bytes}", "BYTEA").replace(
        "{serial}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    )
    elements = r"ARRAY(SELECT jsonb_array_elements_text(CAST(\1 AS JSONB)))"
    text = re.sub(r"NOT IN \(elements\((:\w+)\)\)", f"<> ALL({elements})", text)
    text = re.sub(r"IN \(elements\((:\w+)\)\)", f"= ANY({elements})", text)
    names = tuple(dict.fromkeys(re.findall(r"(?<!:):([a-z]\w*)", text)))
    for number, name in enumerate(names, start=1):
        text = re.sub(rf"(?<!:):{name}\b", f"${number}", text)
    return text, names


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _short(name: str) -> str:
    """The name itself, or one made of it that PostgreSQL does not cut."""
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return name[:30] + hashlib.sha256(name.encode()).hexdigest()[:30]


def _values(values: Mapping[str, Any], names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(values[name] for name in names)


async def _leave_as_it_is(_connection: object) -> None:
    """Nothing is set on a connection, so nothing has to be reset, which would take another round trip."""


def _nothing() -> None:
    """Nobody listens yet."""
