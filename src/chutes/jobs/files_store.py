"""The bytes of runs' files in the database: written piece by piece, seen once the run's end names their folder.

The files of one attempt follow each other as one line of bytes, a *folder*, which is cut into chunks. A folder that no run
names, and that nobody is writing, is swept away.
"""

from chutes.jobs.database import Database, Step
from chutes.jobs.run import Run, new_id

__all__ = ["CHUNK", "FilesStore"]

CHUNK = 1024 * 1024
"""Bytes of a chunk, at most: one transaction each, so that other work of the database goes on in between."""

_FOLDERS_AT_ONCE = 100
# To free the pages of a chunk takes SQLite longer than to write them.
_CHUNKS_AT_ONCE = 2

ADD_FOLDER = """
    INSERT INTO chutes_folders(id, run_id, worker, attempt)
    SELECT CAST(:folder AS TEXT), id, worker, attempt FROM chutes_runs
    WHERE id = :id AND status = 'running' AND worker = :worker AND attempt = :attempt
    ON CONFLICT DO NOTHING RETURNING id
"""

# A piece that was written already, as far as anybody can tell after a broken connection, is written once more.
ADD_CHUNK = """
    WITH mine AS MATERIALIZED (SELECT id, run_id, worker, attempt FROM chutes_folders WHERE id = :folder {lock})
    INSERT INTO chutes_chunks(folder, start, data)
    SELECT id, CAST(:start AS BIGINT), CAST(:data AS {bytes}) FROM mine
    WHERE EXISTS (
        SELECT 1 FROM chutes_runs WHERE chutes_runs.id = mine.run_id AND chutes_runs.status = 'running'
            AND chutes_runs.worker = mine.worker AND chutes_runs.attempt = mine.attempt)
    ON CONFLICT(folder, start) DO UPDATE SET data = excluded.data RETURNING start
"""

CHUNK_AT = """
    SELECT start, data FROM chutes_chunks WHERE folder = :folder AND start <= :at ORDER BY start DESC LIMIT 1
"""

# An attempt has its number and its worker for itself: what is left over once stays so.
LEFT_OVER = """
    SELECT id FROM chutes_folders WHERE NOT EXISTS (
        SELECT 1 FROM chutes_runs WHERE chutes_runs.id = chutes_folders.run_id AND (
            chutes_runs.folder = chutes_folders.id OR (
                chutes_runs.status = 'running' AND chutes_runs.worker = chutes_folders.worker
                AND chutes_runs.attempt = chutes_folders.attempt)))
    ORDER BY id LIMIT :count
"""

# No attempt has the number 0, so nothing is added any more.
CLOSE_FOLDER = "UPDATE chutes_folders SET attempt = 0 WHERE id = :folder"

REMOVE_CHUNKS = """
    DELETE FROM chutes_chunks WHERE folder = :folder AND start IN (
        SELECT start FROM chutes_chunks WHERE folder = :folder ORDER BY start LIMIT :count)
    RETURNING start
"""

REMOVE_FOLDER = """
    DELETE FROM chutes_folders WHERE id = :folder
        AND NOT EXISTS (SELECT 1 FROM chutes_chunks WHERE chutes_chunks.folder = chutes_folders.id)
"""


class FilesStore:
    """Folders in a database.

    Args:
        database: where they are kept, beside the runs.
        worker: name of this process among those that share the database.

    Every method raises `StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker

    async def begin(self, run: Run) -> str | None:
        """The id of a new folder for an attempt; None when that is this worker's no longer."""
        values = {"folder": new_id(), "id": run.id, "worker": self._worker, "attempt": run.attempt}
        (rows,) = await self._database.run(Step(ADD_FOLDER, values))
        return str(rows[0]["id"]) if rows else None

    async def add(self, folder: str, start: int, data: bytes) -> bool:
        """Write a piece; False when the attempt is this worker's no longer: then nothing is written."""
        values = {"folder": folder, "start": start, "data": data}
        (rows,) = await self._database.run(Step(ADD_CHUNK, values))
        return bool(rows)

    async def read(self, folder: str, at: int) -> bytes:
        """What follows the position `at`, up to the end of its chunk; empty when it was removed."""
        values = {"folder": folder, "at": at}
        (rows,) = await self._database.run(Step(CHUNK_AT, values), write=False)
        return bytes(rows[0]["data"][at - rows[0]["start"] :]) if rows else b""

    async def remove(self, folder: str) -> None:
        """Remove a folder that no run names, a few chunks at a time."""
        await self._database.run(Step(CLOSE_FOLDER, {"folder": folder}))
        chunks = Step(REMOVE_CHUNKS, {"folder": folder, "count": _CHUNKS_AT_ONCE})
        while True:
            (rows,) = await self._database.run(chunks)
            if len(rows) < _CHUNKS_AT_ONCE:
                break
        await self._database.run(Step(REMOVE_FOLDER, {"folder": folder}))

    async def sweep(self) -> int:
        """Remove the folders of runs that are gone, and of attempts that never came to their end; returns how many."""
        removed = 0
        while True:
            (rows,) = await self._database.run(Step(LEFT_OVER, {"count": _FOLDERS_AT_ONCE}), write=False)
            for row in rows:
                await self.remove(row["id"])
            removed += len(rows)
            if len(rows) < _FOLDERS_AT_ONCE:
                return removed
