"""A chute in a process of its own, served as its users serve it, and what a test asks of that process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

SECONDS = 30
RUN = ("-m", "chutes", "run")


class ChuteProcess:
    """A process that serves a chute. What it prints goes into a file: a full pipe would hold it up."""

    def __init__(self, words: tuple[object, ...], folder: Path, log: Path, environ: dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CHUTES_")}
        self._log = log
        with log.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                cwd=folder,
                env=kept | {"PYTHONUNBUFFERED": "1"} | environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """All that was printed so far."""
        return self._log.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        found = []
        for line in self.text.splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    @property
    def messages(self) -> list[str]:
        """What the log lines say."""
        return [str(line.get("message")) for line in self.lines]

    @property
    def url(self) -> str:
        """The address that it is ready on; fails when it ends before that."""

        def ready() -> str | None:
            return next((line["url"] for line in self.lines if "url" in line), None)

        self.wait_until(ready)
        return ready() or ""

    @property
    def port(self) -> int:
        """The port that it is ready on."""
        return int(self.url.rpartition(":")[2])

    def wait_until(self, happened: Callable[[], object], seconds: float = SECONDS) -> None:
        """Returns once `happened()` is true; fails when the process ends before that."""
        deadline = time.monotonic() + seconds
        while not happened():
            ended = self.process.poll()
            assert ended is None or happened(), f"It ended with {ended}:\n{self.text}"
            assert time.monotonic() < deadline, f"It did not happen within {seconds} s:\n{self.text}"
            time.sleep(0.02)

    def wait_until_it_says(self, text: str) -> None:
        """Returns once `text` was printed."""
        self.wait_until(lambda: text in self.text)

    def client(self, **options: Any) -> httpx2.Client:
        """An HTTP client of it, without the proxies of the environment."""
        return httpx2.Client(base_url=self.url, timeout=SECONDS, trust_env=False, **options)

    def async_client(self, **options: Any) -> httpx2.AsyncClient:
        """Likewise, for many calls at once."""
        limits = httpx2.Limits(max_connections=None)
        return httpx2.AsyncClient(
            base_url=self.url, timeout=SECONDS, trust_env=False, limits=limits, **options
        )

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def gauge(self, name: str, cord: str = "") -> int:
        """The number that `/metrics` shows under `chutes_<name>`, of one cord where it has labels."""
        labels = re.escape(f'{{cord="{cord}"}}') if cord else ""
        with self.client() as client:
            text = client.get("/metrics").text
        found = re.search(rf"^chutes_{name}{labels} (\S+)$", text, re.MULTILINE)
        assert found is not None, text
        return int(float(found[1]))

    def memory(self) -> int:
        """Bytes of memory that it has now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def send(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit code."""
        self.send(number)
        return self.wait()


@contextmanager
def chute_process(
    *words: object, folder: Path, log: Path, program: tuple[str, ...] = RUN, **environ: str
) -> Iterator[ChuteProcess]:
    """Runs `chutes run` with these words, or another program of Python, and ends it with all that it started."""
    chute = ChuteProcess((*program, *words), folder, log, environ)
    try:
        yield chute
    finally:
        with suppress(ProcessLookupError):
            os.killpg(chute.process.pid, signal.SIGKILL)
        chute.process.wait()


@contextmanager
def reserved_port() -> Iterator[int]:
    """A free port, known before the server that will listen on it is: nobody else is given it meanwhile."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
