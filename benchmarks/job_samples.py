"""Samples of job engines: rates, the wait for a start, what a kill costs, and claims beside many ended runs."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import postgres
from benchmarks.environments import ROOT
from benchmarks.job_engines.measure import HELD
from benchmarks.machine import busy_seconds

__all__ = [
    "ENGINES",
    "STORES",
    "Claim",
    "Databases",
    "Engine",
    "JobSample",
    "Rerun",
    "claimed",
    "measured",
    "rerun",
]

_LIMIT_SECONDS = 240
_WATCHED_SECONDS = 30.0
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine on one database.

    Attributes:
        name: as tables show it.
        store: SQLite or PostgreSQL.
        program: module of `benchmarks.job_engines`.
        environment: of `benchmarks/peers`.
        package: whose version is named.
        takes_over: a killed worker's runs can go to another one; what cannot is not killed here.
        replicas: two workers may share the database.
    """

    name: str
    store: str
    program: str
    environment: str
    package: str
    takes_over: bool = True
    replicas: bool = True


STORES = _SQLITE, _POSTGRES = "SQLite", "PostgreSQL"
ENGINES = (
    Engine(name="chutes", store=_SQLITE, program="on_chutes", environment="chutes", package="fastapi"),
    Engine(name="Huey", store=_SQLITE, program="on_huey", environment="huey", package="huey"),
    Engine(
        name="DBOS", store=_SQLITE, program="on_dbos", environment="dbos", package="dbos", replicas=False
    ),
    Engine(
        name="raw sqlite3", store=_SQLITE, program="on_raw_sqlite", environment="chutes", package="fastapi",
        takes_over=False,
    ),
    Engine(name="chutes", store=_POSTGRES, program="on_chutes", environment="chutes", package="asyncpg"),
    Engine(name="pgqueuer", store=_POSTGRES, program="on_pgqueuer", environment="pgqueuer", package="pgqueuer"),
    Engine(
        name="procrastinate", store=_POSTGRES, program="on_procrastinate", environment="procrastinate",
        package="procrastinate",
    ),
    Engine(
        name="DBOS", store=_POSTGRES, program="on_dbos", environment="dbos", package="dbos", replicas=False
    ),
    Engine(
        name="raw asyncpg", store=_POSTGRES, program="on_raw_postgres", environment="chutes", package="asyncpg",
        takes_over=False,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSample:
    """One engine for a few seconds.

    Attributes:
        engine: its name.
        store: SQLite or PostgreSQL.
        runs: a second, from the first submission until the last end was stored.
        submits: a second, by 16 at once while nothing runs.
        alone: submissions a second, one after the other.
        p50: milliseconds from the call of submit to the start of the function, with nothing else to do.
        p99: likewise.
        cpu: milliseconds of processor time of a run, from submission to end, without that of PostgreSQL.
        foreign: cores that were busy with others; what PostgreSQL did counts among them.
    """

    engine: str
    store: str
    runs: float
    submits: float
    alone: float
    p50: float
    p99: float
    cpu: float
    foreign: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What became of runs whose worker was killed.

    Attributes:
        engine: its name.
        store: SQLite or PostgreSQL.
        how: who is there afterwards.
        again: how many of the held runs began again while we watched.
        first: seconds from the kill to the first of them; None when there was none.
        last: seconds to the last one.
    """

    engine: str
    store: str
    how: str
    again: int
    first: float | None
    last: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Milliseconds to claim a run beside as many rows that have ended."""

    store: str
    rows: int
    p50: float
    p99: float


class Databases:
    """Empty databases, one after the other."""

    def __init__(self, folder: Path, server: postgres.Server | None) -> None:
        self._folder = folder
        self._server = server
        self._count = 0

    @contextlib.contextmanager
    def empty(self, store: str) -> Iterator[str]:
        """The address of one, which is removed in the end."""
        self._count += 1
        name = f"jobs{self._count}"
        if store == _POSTGRES:
            if self._server is None:
                raise RuntimeError("There is no PostgreSQL.")
            yield self._server.database(name)
            self._server.drop(name)
            return
        yield str(self._folder / f"{name}.db")
        for file in self._folder.glob(f"{name}.db*"):
            if file.is_file():
                file.unlink()


def measured(engine: Engine, python: Path, databases: Databases, *, seconds: float) -> JobSample:
    """Take one sample.

    Raises:
        RuntimeError: the engine failed, or did not end.
    """
    begun, busy = time.monotonic(), busy_seconds()
    with databases.empty(engine.store) as where:
        used = os.times()
        figures = json.loads(_output(python, engine.program, "measure", where, str(seconds)))
        own = os.times()
    mine = own.children_user + own.children_system - used.children_user - used.children_system
    foreign = (busy_seconds() - busy - mine) / (time.monotonic() - begun)
    return JobSample(engine=engine.name, store=engine.store, foreign=max(0.0, foreign), **figures)


def claimed(store: str, rows: int, python: Path, databases: Databases) -> Claim:
    """Claim beside so many rows."""
    with databases.empty(store) as where:
        return Claim(store=store, rows=rows, **json.loads(_output(python, "claim", where, str(rows))))


def rerun(engine: Engine, python: Path, databases: Databases, folder: Path, *, beside: bool) -> Rerun:
    """Kill a worker that holds runs, and see when they begin again.

    Args:
        engine: whose worker it is.
        python: its interpreter.
        databases: where the runs are.
        folder: for what the runs tell.
        beside: another worker is there already; else the same is started again at once.
    """
    told = folder / f"told-{time.monotonic_ns()}"
    told.touch()
    processes = []
    with databases.empty(engine.store) as where:
        try:
            processes.append(_start(python, engine.program, "hold", where, str(told)))
            _wait(lambda: len(_lines(told)) >= HELD, _WATCHED_SECONDS)
            if beside:
                processes.append(_start(python, engine.program, "again", where, str(told)))
                time.sleep(_SETTLE_SECONDS)
            before = len(_lines(told))
            killed = time.monotonic()
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()
            if not beside:
                processes.append(_start(python, engine.program, "again", where, str(told)))
            _wait(lambda: len(_lines(told)) >= before + HELD, _WATCHED_SECONDS)
            again = [at - killed for at in _lines(told)[before:]]
        finally:
            for process in processes:
                process.kill()
                process.wait()
    return Rerun(
        engine=engine.name,
        store=engine.store,
        how="beside another worker" if beside else "started again",
        again=len(again),
        first=min(again, default=None),
        last=max(again, default=None),
    )


def _command(python: Path, program: str, *words: str) -> list[str]:
    return [str(python), "-m", f"benchmarks.job_engines.{program}", *words]


def _output(python: Path, program: str, *words: str) -> str:
    try:
        done = subprocess.run(
            _command(python, program, *words),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{program} did not end within {_LIMIT_SECONDS} s.") from None
    if done.returncode or not done.stdout:
        raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def _start(python: Path, program: str, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        _command(python, program, *words), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _lines(told: Path) -> list[float]:
    return [float(line.split()[1]) for line in told.read_text().splitlines()]


def _wait(happened: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not happened() and time.monotonic() < until:
        time.sleep(0.01)
