"""Runs in the memory of one process, for tests: nothing survives, and nothing has to be cleaned up."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence

from chutes.errors import StoreError
from chutes.jobs.database import Row, Step
from chutes.jobs.sqlite import dialect, migrate, wall_clock

__all__ = ["Memory"]

_NO_LEASE_MS = 100 * 366 * 86_400_000


class Memory:
    """A fake of the other databases, with their SQL. Use it from one thread.

    Args:
        clock: milliseconds since 1970.
        beside: another one: both are as two processes on one database.
    """

    def __init__(self, clock: Callable[[], int] = wall_clock, beside: "Memory | None" = None) -> None:
        self.lease_ms = _NO_LEASE_MS
        self.changed: Callable[[], None] = _nothing
        self._worker = ""
        self._all: list[Memory] = [] if beside is None else beside._all  # noqa: SLF001 - of its own kind
        self._connection: sqlite3.Connection = _connect(clock) if beside is None else beside._connection  # noqa: SLF001
        self._all.append(self)

    async def open(self, worker: str) -> None:
        """From now on `worker` is alive."""
        self._worker = worker

    async def run(self, *steps: Step, write: bool = True) -> Sequence[Sequence[Row]]:
        """Run the steps in one transaction."""
        if not self._worker:
            raise StoreError("The jobs database in memory is closed.")
        # As with the others, somebody else may have a turn first.
        await asyncio.sleep(0)
        self._connection.execute("BEGIN")
        try:
            rows = [
                self._connection.execute(dialect(step.statement), step.values).fetchall() for step in steps
            ]
        except Exception as error:
            self._connection.execute("ROLLBACK")
            raise StoreError(f"The jobs database in memory failed: {error}.") from error
        self._connection.execute("COMMIT")
        if write:
            for other in self._all:
                if other is not self:
                    other.changed()
        return rows

    async def live_workers(self) -> Sequence[str] | None:
        """Those that are open."""
        return [one._worker for one in self._all if one._worker]  # noqa: SLF001 - of its own kind

    async def close(self) -> None:
        """Be dead to the others; the runs stay."""
        self._worker = ""


def _connect(clock: Callable[[], int]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.create_function("now_ms", 0, clock)
    migrate(connection, "in memory")
    return connection


def _nothing() -> None:
    """Nobody listens yet."""
