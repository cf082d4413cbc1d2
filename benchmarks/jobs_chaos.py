"""Nothing that was accepted is lost: processes that submit and run jobs on one database, and what happens to them.

    python -m benchmarks.jobs_chaos [--seconds 30] [--trouble kills] [--store sqlite]

Prints how many runs were accepted, lost, interrupted and finished twice; exits with 1 when a promise was broken.
"""

import argparse
import asyncio
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import postgres
from benchmarks.chaos_worker import database
from benchmarks.tables import table
from chutes.jobs.run import Status
from chutes.jobs.store import Store

__all__ = ["TROUBLES", "Outcome", "Workers", "chaos", "full_disk", "kills", "small_disk"]

PROCESSES = 3
KILL_EVERY = (0.3, 0.7)
ACCEPTED_PER_KILL = 250
LONGEST_WAIT_SECONDS = 20.0
RESTART_EVERY = (1.5, 3.0)
AWAY_SECONDS = 0.5
FULL_SECONDS = 1.0
ROOMY_SECONDS = 2.0
DISK_MEGABYTES = 24
DRAIN_SECONDS = 120
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of everything that was accepted.

    Attributes:
        troubles: how often something was killed, restarted, filled or set.
        accepted: runs whose submission returned.
        refused: submissions that raised.
        lost: accepted, and not done in the end.
        interrupted: attempts that did not end.
        twice: runs whose function came to its end more than once.
        recorded_twice: runs whose result was stored more than once.
        over: runs with more attempts than they may have.
    """

    troubles: int
    accepted: int
    refused: int
    lost: int
    interrupted: int
    twice: int
    recorded_twice: int
    over: int

    @property
    def promises_kept(self) -> bool:
        """Nothing lost, nothing over its bound, no result but one, and next to nothing done twice."""
        broken = self.lost + self.over + self.recorded_twice
        return not broken and self.twice <= max(5, self.accepted * 0.01)


class Workers:
    """The processes that submit and run.

    Args:
        where: their database.
        folder: for what they tell.
        more: further words of their command line.
    """

    def __init__(self, where: str, folder: Path, more: Sequence[str] = ()) -> None:
        self.folder = folder
        self._command = [sys.executable, "-m", "benchmarks.chaos_worker", where, str(folder), *more]
        self._processes = [subprocess.Popen(self._command) for _ in range(PROCESSES)]

    def kill_one(self) -> None:
        """Kill one of them, and start another one."""
        victim = random.randrange(PROCESSES)
        self._processes[victim].send_signal(signal.SIGKILL)
        self._processes[victim].wait()
        self._processes[victim] = subprocess.Popen(self._command)

    def end(self) -> None:
        """Let them end."""
        for process in self._processes:
            process.wait(60)

    def kill(self) -> None:
        """End what is left of them."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()


Trouble = Callable[[Workers], None]


def kills(workers: Workers) -> None:
    """One process dies, and not before some runs were accepted since the last one did.

    A kill can make as many runs end twice as the process runs at once, whatever the machine can do meanwhile.
    """
    accepted = workers.folder / "accepted"
    before, until = len(_lines(accepted)), time.monotonic() + LONGEST_WAIT_SECONDS
    time.sleep(random.uniform(*KILL_EVERY))
    while len(_lines(accepted)) < before + ACCEPTED_PER_KILL and time.monotonic() < until:
        time.sleep(0.02)
    workers.kill_one()
    told(workers.folder, "kill")


def restarts(server: postgres.Server) -> Trouble:
    """PostgreSQL crashes, and comes back."""

    def restart(workers: Workers) -> None:
        time.sleep(random.uniform(*RESTART_EVERY))
        server.stop("immediate")
        time.sleep(AWAY_SECONDS)
        server.start()
        told(workers.folder, "restart")

    return restart


def full_disk(disk: Path) -> Trouble:
    """The disk is full for a while."""

    def fill(workers: Workers) -> None:
        time.sleep(ROOMY_SECONDS)
        balloon = disk / "balloon"
        with contextlib.suppress(OSError), balloon.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        time.sleep(FULL_SECONDS)
        balloon.unlink()
        told(workers.folder, "fill")

    return fill


def set_clock(file: Path) -> Trouble:
    """The clock of the database is set, an hour ahead or back at most."""

    def jump(workers: Workers) -> None:
        time.sleep(random.uniform(*RESTART_EVERY))
        file.write_text(f"{random.randint(-3600, 3600):+}s\n")
        told(workers.folder, "jump")

    return jump


def wait(_workers: Workers) -> None:
    """The processes make the trouble themselves."""
    time.sleep(0.1)


def told(folder: Path, line: str) -> None:
    """Note one trouble."""
    with (folder / "troubles").open("a") as file:
        file.write(f"{line}\n")


def chaos(
    where: str, folder: Path, seconds: float, trouble: Trouble = kills, more: Sequence[str] = ()
) -> Outcome:
    """Make trouble for so many seconds, let what is left be done, and look at every run."""
    workers = Workers(where, folder, more)
    try:
        until = time.monotonic() + 60
        while not (folder / "accepted").exists() and time.monotonic() < until:
            time.sleep(0.05)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            trouble(workers)
        (folder / "stop").touch()
        outcome = asyncio.run(_judge(where, folder))
        (folder / "over").touch()
        workers.end()
    finally:
        workers.kill()
    return outcome


async def _judge(where: str, folder: Path) -> Outcome:
    """Wait until nothing is queued or running any more, then count."""
    store = Store(database(where), "judge")
    await store.open()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await store.waiting():  # noqa: ASYNC110 - other processes work
                await asyncio.sleep(0.2)
    except TimeoutError:
        print(f"Not done after {DRAIN_SECONDS} s: {await store.waiting()}", file=sys.stderr)
    runs = {run_id: await store.get(run_id) for run_id in _lines(folder / "accepted")}
    await store.close()
    found = [run for run in runs.values() if run is not None]
    return Outcome(
        troubles=len(_lines(folder / "troubles")),
        accepted=len(runs),
        refused=len(_lines(folder / "refused")),
        lost=sum(run is None or run.status is not Status.SUCCEEDED for run in runs.values()),
        interrupted=sum(len(run.history) for run in found),
        twice=_more_than_once(folder / "ended"),
        recorded_twice=_more_than_once(folder / "recorded"),
        over=sum(run.attempt > run.max_attempts for run in found),
    )


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _more_than_once(file: Path) -> int:
    return sum(count > 1 for count in collections.Counter(_lines(file)).values())


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own in memory, which is soon full; only root may mount it."""
    folder.mkdir()
    options = f"size={DISK_MEGABYTES}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _in_sqlite(trouble: str, folder: Path, seconds: float) -> Outcome:
    where = str(folder / "jobs.db")
    if trouble == "disk":
        with small_disk(folder / "disk") as disk:
            return chaos(str(disk / "jobs.db"), folder, seconds, full_disk(disk))
    if trouble == "clock":
        return chaos(where, folder, seconds, wait, ["--jumping"])
    return chaos(where, folder, seconds)


def _in_postgres(trouble: str, folder: Path, seconds: float) -> Outcome:
    clock = folder / "clock"
    clock.write_text("+0s\n")
    # PostgreSQL is another user.
    clock.chmod(0o644)
    folder.chmod(0o755)
    faked = {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with postgres.server(os.environ | faked if trouble == "clock" else None) as server:
        troubles = {"kills": kills, "restart": restarts(server), "clock": set_clock(clock)}
        return chaos(server.database("chaos"), folder, seconds, troubles[trouble])


TROUBLES = {"sqlite": ("kills", "disk", "clock"), "postgres": ("kills", "restart", "clock")}
_RUN = {"sqlite": _in_sqlite, "postgres": _in_postgres}


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=30, help="for how long there is trouble (default: 30)"
    )
    parser.add_argument("--trouble", choices=["kills", "restart", "disk", "clock"], default="kills")
    parser.add_argument("--store", choices=list(TROUBLES), default="sqlite")
    options = parser.parse_args()
    if options.trouble not in TROUBLES[options.store]:
        parser.error(f"{options.store} knows {', '.join(TROUBLES[options.store])}.")
    with tempfile.TemporaryDirectory() as name:
        outcome = _RUN[options.store](options.trouble, Path(name), options.seconds)
        for text, count in collections.Counter(_lines(Path(name) / "refused")).most_common(3):
            print(f"Refused {count} times: {text}", file=sys.stderr)
    head = (
        "trouble",
        "times",
        "accepted",
        "refused",
        "lost",
        "interrupted",
        "finished twice",
        "results twice",
        "over",
    )
    figures = [str(getattr(outcome, name)) for name in Outcome.__slots__]
    print(table(head, [[f"{options.store}, {options.trouble}", *figures]]))
    return 0 if outcome.promises_kept else 1


if __name__ == "__main__":
    sys.exit(main())
