"""One server as a process of its own: started on its core, called, measured and ended."""

import os
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from benchmarks.environments import ROOT
from benchmarks.lineup import Server, Workload
from benchmarks.machine import busy_seconds, cpu_seconds, marked, memory

__all__ = ["Served", "Watch", "free_port", "serving"]

_READY_SECONDS = 120.0
_END_SECONDS = 5.0
_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")


class Served:
    """A server that runs.

    Attributes:
        port: where it answers.
        start_seconds: from the start of its process to its first answer.
        start_cpu: processor seconds that it took.
        start_foreign: cores that others used meanwhile.
    """

    def __init__(
        self, server: Server, workload: Workload, port: int, process: subprocess.Popen[bytes], mark: str
    ) -> None:
        self.server = server
        self.workload = workload
        self.port = port
        self.process = process
        self.start_seconds = self.start_cpu = self.start_foreign = 0.0
        self._mark = mark

    def pids(self) -> list[int]:
        """Its processes."""
        return marked(self._mark)

    def cpu_seconds(self) -> float:
        """Processor seconds of all its processes."""
        return cpu_seconds(self.pids())

    def memory(self) -> tuple[float, float]:
        """Resident and proportional memory of all its processes, in MB."""
        return memory(self.pids())

    def ask(self) -> bytes | None:
        """What it answers once; None while nobody answers with success."""
        body = self.server.body(self.workload)
        call = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.server.target(self.workload)}",
            data=body.encode() if body is not None else None,
            headers={"Content-Type": "application/json"} if body is not None else {},
        )
        try:
            with urllib.request.urlopen(call, timeout=10) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError):
            return None


@contextmanager
def serving(
    server: Server, workload: Workload, python: Path, *, core: int | str, folder: Path
) -> Iterator[Served]:
    """Start a server on a core or several, wait for its first answer, and end it with all that it started.

    Raises:
        RuntimeError: it ended, or gave no answer in time; the text shows what it printed.
    """
    port, mark = free_port(), uuid.uuid4().hex
    words = {"port": str(port), "workload": workload.name}
    command = [part.format(**words) for part in server.command]
    with (folder / "server.log").open("w+") as log:
        began, watch = time.monotonic(), Watch()
        process = subprocess.Popen(
            ["taskset", "-c", str(core), str(python), *command],
            cwd=folder,
            env=_environment(server, words, folder, mark),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        served = Served(server, workload, port, process, mark)
        try:
            _wait_for_answer(served, began, log)
            served.start_cpu, served.start_foreign = watch.read(served)
            yield served
        finally:
            _end(served)


class _Working(Protocol):
    def cpu_seconds(self) -> float: ...


class Watch:
    """Who uses the processors, from its making on.

    Args:
        served: the server; None when it has not been started yet.
    """

    def __init__(self, served: _Working | None = None) -> None:
        self._began = time.monotonic()
        self._busy = busy_seconds()
        self._own = _own_seconds()
        self._served = served.cpu_seconds() if served is not None else 0.0

    def read(self, served: _Working) -> tuple[float, float]:
        """Processor seconds of the server until now, and how many cores others used on average."""
        window = time.monotonic() - self._began
        cpu = served.cpu_seconds() - self._served
        others = busy_seconds() - self._busy - cpu - (_own_seconds() - self._own)
        return cpu, max(0.0, others / window)


def _own_seconds() -> float:
    """Processor seconds of this process and of the programs that it has run to their end."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _environment(server: Server, words: Mapping[str, str], folder: Path, mark: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {name: value.format(**words) for name, value in server.variables.items()}
    return kept | own | {"PYTHONPATH": str(ROOT), "BENCHMARK_MARK": mark, "PYTHONUNBUFFERED": "1"}


def _wait_for_answer(served: Served, began: float, log: IO[str]) -> None:
    while served.ask() is None:
        ended = served.process.poll() is not None
        if ended or time.monotonic() - began > _READY_SECONDS:
            log.seek(0)
            what = "ended before it answered" if ended else f"gave no answer in {_READY_SECONDS:.0f} s"
            raise RuntimeError(f"{served.server.name} {what}. It printed:\n{log.read()[-4000:]}")
        time.sleep(0.005)
    served.start_seconds = time.monotonic() - began


def _end(served: Served) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in [served.process.pid] if number is signal.SIGTERM else served.pids():
            _send(pid, number)
        deadline = time.monotonic() + _END_SECONDS
        while served.pids() and time.monotonic() < deadline:
            served.process.poll()
            time.sleep(0.02)
    served.process.wait()


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
