"""A process that runs an engine, as a chute does, and tells how the engine is: for tests that kill one or the other.

engine_host.py SPEC    SPEC is the fields of an `EngineSpec` as JSON; each line of the output is a JSON object.
"""

import asyncio
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.child_processes import wait_until_gone

SECONDS = 300


class EngineHost:
    """The process, seen from a test.

    Attributes:
        url: the engine's address.
        headers: what the engine's callers need.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        first = self.wait_for(lambda told: "url" in told)
        self.url, self.headers = first["url"], first["headers"]

    def wait_for(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The next thing that it tells and that fulfils the condition."""
        deadline = time.monotonic() + SECONDS
        while True:
            told = self._told.get(timeout=max(0.1, deadline - time.monotonic()))
            assert "ended" not in told, "The process has ended."
            if condition(told):
                return told

    def tree(self) -> dict[int, str]:
        """Every process below it, with its command line."""
        listing = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
        table = [line.split(None, 2) for line in listing.stdout.splitlines()]
        found: dict[int, str] = {}
        parents = [self.process.pid]
        while parents:
            parent = parents.pop()
            for pid, above, *args in table:
                if int(above) == parent:
                    found[int(pid)] = " ".join(args)
                    parents.append(int(pid))
        return found

    def kill_engine(self) -> None:
        """SIGKILL for the engine's first process: the one below the reaper."""
        reaper = next(pid for pid, args in self.tree().items() if "reaper.py" in args)
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        pairs = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()]
        os.kill(next(pid for pid, above in pairs if above == reaper), signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL for this process itself; returns once nothing that it started is left."""
        below = list(self.tree())
        assert len(below) >= 2, "There has to be a reaper and an engine."
        self.process.kill()
        wait_until_gone(below, 30)

    def _read(self) -> None:
        with contextlib.suppress(ValueError):
            for line in self.process.stdout or ():
                self._told.put(json.loads(line))
        self._told.put({"ended": True})


@contextlib.contextmanager
def engine_host(**spec: Any) -> Iterator[EngineHost]:
    """A process with an engine that is ready."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, str(Path(__file__)), json.dumps(spec)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield EngineHost(process)
        finally:
            process.terminate()
            try:
                process.wait(30)
            finally:
                process.kill()


async def host(fields: dict[str, Any]) -> None:
    from chutes.chute.engine import EngineSpec
    from chutes.engines import EngineRunner

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with EngineRunner(EngineSpec(**fields), concurrency=8) as runner:
        print(json.dumps({"url": runner.url, "headers": dict(runner.headers)}), flush=True)
        said = None
        while not stopped.is_set():
            status = {"state": runner.status.state, "restarts": runner.status.restarts}
            if status != said:
                print(json.dumps(status), flush=True)
                said = status
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(host(json.loads(sys.argv[1])))
