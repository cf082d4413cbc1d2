"""Another process on a jobs database: `python job_process.py DATABASE ACTION`, which acts once it reads a line."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from chutes.jobs import webhook_store
from chutes.jobs.database import Database
from chutes.jobs.deliveries import Deliveries
from chutes.jobs.postgres import Postgres
from chutes.jobs.run import Status
from chutes.jobs.sqlite import SQLite
from chutes.jobs.store import Ending, NewRun, Store
from chutes.jobs.webhook_sender import WebhookSender
from chutes.settings import WebhookSettings

SECRET = "whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3RzLCBubyBtb3Jl"


class JobProcess:
    """One that a test started.

    Args:
        database: path of an SQLite file, or the address of a PostgreSQL and a schema, with a space between.
        action: of `ACTIONS`.
    """

    def __init__(self, database: str, action: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, database, action],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # Room for all that it says before a test listens.
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, 1024 * 1024)

    def get_ready(self) -> None:
        """Wait until it has started."""
        assert self.answer() == "ready"

    def go(self) -> None:
        """Let it act."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """The next line that it prints."""
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self.wait()

    def killed(self) -> list[str]:
        """End it likewise, and return all that it had printed."""
        self._process.kill()
        lines = self._process.stdout.read().splitlines()
        self.wait()
        return lines

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(60)
        self._process.stdin.close()
        self._process.stdout.close()
        return code


def database(where: str) -> Database:
    """The database that a test names."""
    url, _, schema = where.partition(" ")
    return Postgres(url, schema) if schema else SQLite(Path(where))


async def claim(store: Store) -> None:
    """Take every run, and hold it until killed."""
    await store.open()
    runs = await store.claim(["embed"], 100)
    print(" ".join(run.id for run in runs), flush=True)
    await asyncio.sleep(600)


async def claim_and_fork(store: Store) -> None:
    """The same, with a child that is forked and lives on."""
    await store.open()
    runs = await store.claim(["embed"], 100)
    child = os.fork()
    if not child:
        signal.alarm(60)
        time.sleep(60)
    print(child, " ".join(run.id for run in runs), flush=True)
    await asyncio.sleep(600)


async def claim_and_block(store: Store) -> None:
    """The same, with code that lets nothing else run."""
    store.database.lease_ms = 4000
    await store.open()
    runs = await store.claim(["embed"], 100)
    print(" ".join(run.id for run in runs), flush=True)
    time.sleep(600)


async def write_half(store: Store) -> None:
    """Take a run, write a few pieces of its files, and stop there until killed."""
    store.database.lease_ms = min(store.database.lease_ms, 2000)
    await store.open()
    (run,) = await store.claim(["embed"], 1)
    folder = await store.files.begin(run)
    for number in range(3):
        assert await store.files.add(folder, number * 5, b"half!")
    print(folder, flush=True)
    await asyncio.sleep(600)


async def submit_and_work(store: Store) -> None:
    """Submit runs and work on them until killed; print what was accepted, and what was begun."""
    store.database.lease_ms = min(store.database.lease_ms, 2000)
    await store.open()
    # Written as one piece: a line that a kill cuts in two would be a run that nobody knows.
    said = sys.stdout.fileno()

    async def submit() -> None:
        while True:
            run, _ = await store.insert(NewRun(job="embed", max_attempts=3))
            os.write(said, f"accepted {run.id}\n".encode())

    async def work() -> None:
        while True:
            await store.recover()
            for run in await store.claim(["embed"], 4):
                os.write(said, f"begun {run.id} {run.attempt}\n".encode())
                await store.finish(run, Ending(status=Status.SUCCEEDED, result=f'"{store.worker}"'))
            await asyncio.sleep(0.001)

    await asyncio.gather(*(submit() for _ in range(2)), *(work() for _ in range(2)))


async def fire(store: Store) -> None:
    """Fire 200 ticks, and say how many runs came of it."""
    await store.open()
    fired = 0
    for tick in range(1, 201):
        run = await store.fire(NewRun(job="tick"), FIRST_TICK + tick)
        if run is not None:
            fired += 1
            await store.cancel(run.id)
    print(fired, flush=True)
    await store.close()


async def end_and_die(store: Store) -> None:
    """End a run that has a webhook, and be killed before anybody is told."""
    await store.open()
    await store.insert(NewRun(job="embed", webhook=os.environ["WEBHOOK"]))
    (run,) = await store.claim(["embed"], 1)
    await store.finish(run, Ending(status=Status.SUCCEEDED, result='"kept"'))
    print(run.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


async def end_and_tell(store: Store) -> None:
    """The same, and tell its webhook until killed."""
    webhook_store._LEASE_MS = 1000
    await store.open()
    await store.insert(NewRun(job="embed", webhook=os.environ["WEBHOOK"]))
    (run,) = await store.claim(["embed"], 1)
    await store.finish(run, Ending(status=Status.SUCCEEDED, result='"kept"'))
    print(run.id, flush=True)
    settings = WebhookSettings(secrets=(SECRET,), private_hosts=("*",))
    Deliveries(store, lambda: WebhookSender(settings)).start()
    await asyncio.sleep(600)


async def accept(store: Store) -> None:
    """Open the database, and submit one run."""
    await store.open()
    run, _ = await store.insert(NewRun(job="embed"))
    print(run.id, flush=True)
    await store.close()


FIRST_TICK = 4_000_000_000_000
ACTIONS = {
    action.__name__: action
    for action in (
        accept,
        claim,
        claim_and_block,
        claim_and_fork,
        end_and_die,
        end_and_tell,
        fire,
        submit_and_work,
        write_half,
    )
}


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(ACTIONS[sys.argv[2]](Store(database(sys.argv[1]), f"process-{os.getpid()}")))
