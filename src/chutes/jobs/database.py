"""What the job store needs of a database: transactions of a few statements, and a word when others changed something."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Database", "Row", "Step", "dead_workers"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a transaction.

    Attributes:
        statement: SQL as `statements` writes it, with `:names` for the values.
        values: by those names.
    """

    statement: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Database(Protocol):
    """Where runs are kept.

    Attributes:
        lease_ms: for which a claimed run belongs to its worker, unless the database itself renews that.
        changed: called, from any thread, when another process may have changed something.
    """

    lease_ms: int
    changed: Callable[[], None]

    async def open(self, worker: str) -> None:
        """Connect, bring the schema up to date, and show others that `worker` is alive until `close`.

        Raises:
            StoreError: it cannot be used.
        """

    async def run(self, *steps: Step, write: bool = True) -> Sequence[Sequence[Row]]:
        """The rows of each step; all of them happen, or none.

        Raises:
            StoreError: the database refused or could not be reached; nothing was stored.
        """

    async def live_workers(self) -> Sequence[str] | None:
        """Workers that are surely alive, all others being dead; None when only leases tell."""

    async def close(self) -> None:
        """Let go of it."""


async def dead_workers(database: Database, holders: str) -> list[str]:
    """Workers that hold something and are surely dead; none where only leases tell.

    Who holds something is asked before who lives: a worker that begins in between is in neither answer, and would be taken
    for dead the other way round.

    Args:
        database: where they hold it.
        holders: the statement that lists them as `worker`.
    """
    (rows,) = await database.run(Step(holders), write=False)
    live = await database.live_workers()
    return [] if live is None else sorted({row["worker"] for row in rows}.difference(live))
