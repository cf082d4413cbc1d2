"""Transactions of which nobody can tell whether they happened: the connection broke before the answer came."""

import asyncio
import time
from collections.abc import Sequence

from chutes.errors import StoreError
from chutes.jobs import statements as sql
from chutes.jobs.database import Database, Row, Step

__all__ = ["UnsettledError", "accept"]

_LONGEST_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.2


class UnsettledError(StoreError):
    """The connection broke while a transaction was under way; it may have happened."""


async def accept(database: Database, run_id: str, *steps: Step) -> Sequence[Sequence[Row]]:
    """The rows of the steps, whose first one stores a new run.

    When the connection breaks, they are tried again for five seconds: the run has its id already, so it is stored once.

    Raises:
        StoreError: it was not stored, or nobody can tell.
    """
    try:
        return await database.run(*steps)
    except UnsettledError as error:
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while time.monotonic() < deadline:
            try:
                return await _again(database, run_id, steps)
            except StoreError:
                await asyncio.sleep(_LOOK_SECONDS)
        raise UnsettledError(
            f"{error} The run may have been accepted all the same: submit it once more with the same key, if it had one."
        ) from error


async def _again(database: Database, run_id: str, steps: Sequence[Step]) -> Sequence[Sequence[Row]]:
    rows = await database.run(*steps)
    if rows[0]:
        return rows
    # The first time has stored it, or its key belongs to another run.
    (found,) = await database.run(Step(sql.GET, {"id": run_id}), write=False)
    return [found, *rows[1:]]
