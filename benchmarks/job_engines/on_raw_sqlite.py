"""A table in SQLite and a thread that works it off, a commit for each of the three changes of a run."""

import sqlite3
import threading

from benchmarks.job_engines.measure import Seen, main


class RawSQLite:
    """The least that stores runs, starts and ends."""

    def __init__(self, where: str, seen: Seen) -> None:
        self._where = where
        self._seen = seen
        self._arrived = threading.Event()
        self._ended = False

    async def open(self) -> None:
        self._connection = self._connect()
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY, number INTEGER, status TEXT, result TEXT)"
        )
        self._connection.execute("CREATE INDEX IF NOT EXISTS waiting ON runs(id) WHERE status <> 'done'")

    async def work(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()

    async def submit(self, number: int, seconds: float) -> None:
        del seconds
        self._connection.execute("INSERT INTO runs(number, status) VALUES(?, 'queued')", (number,))
        self._arrived.set()

    async def unfinished(self) -> int:
        return self._connection.execute("SELECT count(*) FROM runs WHERE status <> 'done'").fetchone()[0]

    async def close(self) -> None:
        self._ended = True

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._where, isolation_level=None, timeout=30, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _serve(self) -> None:
        connection = self._connect()
        while not self._ended:
            claimed = connection.execute(
                "UPDATE runs SET status = 'running' WHERE id = (SELECT id FROM runs WHERE status = 'queued' LIMIT 1) "
                "RETURNING id, number"
            ).fetchall()
            for run_id, number in claimed:
                self._seen.begun(number)
                connection.execute(
                    "UPDATE runs SET status = 'done', result = ? WHERE id = ?", (str(number), run_id)
                )
            if not claimed:
                self._arrived.wait(1)
                self._arrived.clear()


if __name__ == "__main__":
    main(RawSQLite)
