"""Nothing that was accepted is lost: processes that submit and run jobs on one database, and are killed at random.

    python -m benchmarks.jobs_chaos [--seconds 30] [--database postgresql://…]

Prints how many runs were accepted, lost, interrupted and finished twice; exits with 1 when a promise was broken.
"""

import argparse
import asyncio
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chutes import Chute
from chutes.chute.chute import definition_of
from chutes.errors import StoreError
from chutes.jobs.database import Database
from chutes.jobs.run import Status
from chutes.jobs.runner import Runner, RunnerOptions
from chutes.jobs.service import JobService
from chutes.jobs.sqlite import SQLite
from chutes.jobs.store import Store

PROCESSES = 3
SUBMITTERS = 4
RETRIES = 3
KILL_EVERY = (0.3, 0.7)
DRAIN_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of everything that was accepted.

    Attributes:
        kills: processes that were killed.
        accepted: runs whose submission returned.
        lost: accepted, and not done in the end.
        interrupted: attempts that a kill ended.
        twice: runs whose function came to its end more than once.
        over: runs with more attempts than they may have.
    """

    kills: int
    accepted: int
    lost: int
    interrupted: int
    twice: int
    over: int

    @property
    def promises_kept(self) -> bool:
        """Nothing lost, nothing over its bound, and next to nothing done twice."""
        return self.lost == self.over == 0 and self.twice <= max(5, self.accepted * 0.01)


def database(where: str) -> Database:
    """The database of this name: a PostgreSQL address, or the path of an SQLite file."""
    if where.startswith("postgres"):
        from chutes.jobs.postgres import Postgres

        return Postgres(where)
    return SQLite(Path(where))


def note(file: Path, line: str) -> None:
    """Append a line in one write, so that a kill leaves it whole or not there at all."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


async def work(where: str, folder: Path) -> None:
    """One of the processes: submit until a file says stop, run whatever is there."""
    chute = Chute(username="chaos", name="chaos", image="python:3.11")

    @chute.job(retry_count=RETRIES)
    async def step(self: Chute, seconds: float) -> str:
        await asyncio.sleep(seconds)
        note(folder / "ended", self.jobs.current.id)
        return "done"

    jobs = definition_of(chute).jobs
    service = JobService(lambda: jobs, Store(database(where), f"{os.getpid()}-{time.time_ns()}"))
    runner = Runner(chute, service, lambda: jobs, RunnerOptions(max_jobs=8, backoff_cap=0.5))
    definition_of(chute).running = _Served(service)  # type: ignore[assignment] # as much of it as `chute.jobs` asks for
    await service.open()
    runner.start()

    async def submit() -> None:
        while not (folder / "stop").exists():
            try:
                run, _ = await service.submit("step", {"seconds": random.choice([0, 0.01, 0.1])})
            except StoreError:
                await asyncio.sleep(0.1)
                continue
            note(folder / "accepted", run.id)
            await asyncio.sleep(0.005)

    await asyncio.gather(*(submit() for _ in range(SUBMITTERS)))
    while not (folder / "over").exists():  # noqa: ASYNC110 - another process says so
        await asyncio.sleep(0.1)
    await runner.stop(5)
    await service.close()


class _Served:
    """What a chute that runs is, as far as `chute.jobs` asks."""

    def __init__(self, service: JobService) -> None:
        self.jobs = service


def chaos(where: str, folder: Path, seconds: float) -> Outcome:
    """Kill for so many seconds, let what is left be done, and look at every run."""

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "benchmarks.jobs_chaos", "--work", where, str(folder)])

    processes, kills = [start() for _ in range(PROCESSES)], 0
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(random.uniform(*KILL_EVERY))
            victim = random.randrange(PROCESSES)
            if not (folder / "accepted").exists():
                continue
            processes[victim].send_signal(signal.SIGKILL)
            processes[victim].wait()
            processes[victim] = start()
            kills += 1
        (folder / "stop").touch()
        outcome = asyncio.run(judge(where, folder, kills))
        (folder / "over").touch()
        for process in processes:
            process.wait(60)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
    return outcome


async def judge(where: str, folder: Path, kills: int) -> Outcome:
    """Wait until nothing is queued or running any more, then count."""
    store = Store(database(where), "judge")
    await store.open()
    accepted = (folder / "accepted").read_text().split()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await store.waiting():  # noqa: ASYNC110 - other processes work
                await asyncio.sleep(0.2)
    except TimeoutError:
        print(f"Not done after {DRAIN_SECONDS} s: {await store.waiting()}")
    runs = {run_id: await store.get(run_id) for run_id in accepted}
    await store.close()
    found = [run for run in runs.values() if run is not None]
    ended = collections.Counter((folder / "ended").read_text().split())
    return Outcome(
        kills=kills,
        accepted=len(runs),
        lost=sum(run is None or run.status is not Status.SUCCEEDED for run in runs.values()),
        interrupted=sum(len(run.history) for run in found),
        twice=sum(count > 1 for count in ended.values()),
        over=sum(run.attempt > run.max_attempts for run in found),
    )


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30, help="for how long processes are killed")
    parser.add_argument("--database", help="an empty PostgreSQL; a file of SQLite when left out")
    parser.add_argument("--work", nargs=2, metavar=("DATABASE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        asyncio.run(work(options.work[0], Path(options.work[1])))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outcome = chaos(options.database or str(folder / "jobs.db"), folder, options.seconds)
    kind = "PostgreSQL" if options.database else "SQLite"
    print(
        "| database | kills | accepted | lost | attempts interrupted | finished twice | over their attempts |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {kind} | {outcome.kills} | {outcome.accepted} | {outcome.lost} | {outcome.interrupted} | {outcome.twice} "
        f"| {outcome.over} |"
    )
    return 0 if outcome.promises_kept else 1


if __name__ == "__main__":
    sys.exit(main())
