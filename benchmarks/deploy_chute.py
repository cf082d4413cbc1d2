"""The chute whose deployment is measured: its images, its containers, and the load on it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.deploy_load import CLIENTS, Calls, load
from benchmarks.machine import busy_seconds
from chutes.deploy import Plan
from chutes.deploy.local import LocalPlatform, find_runner

__all__ = ["Cost", "DeployedChute", "Loss", "loss", "timed"]

BASE = "localhost/chutes-test-python:3.11"
_READY_SECONDS = 120.0
_AFTER_SECONDS = 5.0
_INSTANCES = 2
_APP = """
import asyncio
import os
from pathlib import Path

from chutes import Chute

chute = Chute(username="benchmarks", name="NAME", image="BASE", concurrency=256, shutdown_grace=10)
BEGUN = Path(os.environ.get("CHUTES_HOME", "."), "begun.txt")


@chute.cord("/call")
async def call(self, id: str) -> str:
    with BEGUN.open("a") as file:
        file.write(id + "\\n")
    await asyncio.sleep(0.05)
    return "VERSION"


@chute.cord("/begun", method="GET")
async def begun(self) -> list[str]:
    return BEGUN.read_text().split()


@chute.cord("/echo", method="GET")
async def echo(self) -> str:
    return "VERSION"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How long something took.

    Attributes:
        what: it is.
        seconds: that it took.
        busy: cores that were at work meanwhile, for whomever.
    """

    what: str
    seconds: float
    busy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one kind of client lost.

    Attributes:
        event: what happened meanwhile.
        client: the kind.
        calls: in all.
        failed: without an answer 200.
        not_begun: of those, that the chute had not begun.
        twice: that the chute began more than once.
        reasons: of the failures, each once.
    """

    event: str
    client: str
    calls: int
    failed: int
    not_begun: int
    twice: int
    reasons: tuple[str, ...]


class DeployedChute:
    """A chute in two versions, and where it runs."""

    def __init__(self, folder: Path) -> None:
        self.name = f"deployed-{os.getpid()}"
        self.folder = folder
        self.images: list[str] = []
        runner = find_runner("podman", lambda _command: None)
        self.platform = LocalPlatform(runner, folder / "home", ready_seconds=_READY_SECONDS)
        self.plan = Plan(username="benchmarks", name=self.name, image="", drain_delay=2, shutdown_grace=10)
        self.url = ""

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> "Iterator[DeployedChute]":
        """One, of which nothing is left afterwards."""
        chute = cls(folder)
        try:
            yield chute
        finally:
            slug = f"benchmarks/{chute.name}"
            if any(one.slug == slug for one in chute.platform.deployments()):
                chute.platform.delete(slug, data=True, say=_nowhere)
            for image in re.findall(
                rf"\S*{chute.name}\S*", _podman("images", "--format", "{{.Repository}}:{{.Tag}}")
            ):
                _podman("rmi", "-f", image)

    def builds(self, rounds: int) -> list[Cost]:
        """Build both versions: from nothing, from the tool's cache, and when there is nothing to do."""
        found: list[Cost] = []
        cached = ("--force", "--", "--network", "host")
        anew = (*cached, "--no-cache")
        for _ in range(rounds):
            self._write("one")
            found.append(timed("image, from nothing", lambda: self._build(*anew)))
            # What was built without the cache does not fill it.
            self._build(*cached)
            found.append(timed("image, all layers cached", lambda: self._build(*cached)))
            found.append(timed("image, nothing changed", self._build))
            image = self._build()
            self._write("two")
            found.append(
                timed("image, a line of the chute changed", lambda: self._build("--", "--network", "host"))
            )
            self.images = [image, self._build()]
        self.plan = replace(self.plan, image=self.images[0])
        return found

    def container_start(self) -> Cost:
        """From `podman run` to the first answer."""
        port, name = _free_port(), f"{self.name}-start"
        words = ["--network", "host", "-e", "CHUTES_HOST=127.0.0.1", "-e", f"CHUTES_PORT={port}"]

        def start() -> None:
            _podman("run", "--detach", "--name", name, *words, self.images[0])
            _wait_for(port)

        try:
            return timed("container, to its first answer", start)
        finally:
            _podman("rm", "-f", "-t", "0", name)

    def bare_start(self) -> Cost:
        """From the start of `chutes run` to the first answer."""
        port, processes = _free_port(), list[subprocess.Popen[bytes]]()

        def start() -> None:
            command = [sys.executable, "-m", "chutes", "run", "app.py", "--port", str(port)]
            environ = {**os.environ, "CHUTES_HOME": str(self.folder / "bare")}
            processes.append(
                subprocess.Popen(command, cwd=self.folder, env=environ, stderr=subprocess.DEVNULL)
            )
            _wait_for(port)

        try:
            return timed("bare process, to its first answer", start)
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def change(self, **changes: Any) -> None:
        """Deploy it with these changes of its plan."""
        self.plan = replace(self.plan, **changes)
        self.url = self.platform.apply(self.plan, note="benchmark", say=_nowhere).url or ""

    def update(self, seconds: float) -> list[Loss]:
        """Replace the version that runs under load."""
        with load(self.url) as calls:
            until = time.monotonic() + seconds
            time.sleep(_AFTER_SECONDS)
            self.change(image=self.images[1])
            time.sleep(max(_AFTER_SECONDS, until - time.monotonic()))
        return self._lost("rolling update", calls)

    def kill(self, seconds: float) -> list[Loss]:
        """End one instance of two without a warning, under load, every ten seconds."""
        self.change(instances=_INSTANCES)
        with load(self.url) as calls:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(_AFTER_SECONDS)
                instance = self._ready()[0]
                os.kill(int(_podman("inspect", "-f", "{{.State.Pid}}", instance)), signal.SIGKILL)
                time.sleep(_AFTER_SECONDS)
                _wait_until(lambda: len(self._ready()) == _INSTANCES)
        return self._lost("an instance of two killed", calls)

    def front(self, rounds: int) -> list[Cost]:
        """A thousand calls on one connection, through the port of the chute and at that of the instance."""
        lines = _podman(
            "inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", self._ready()[0]
        ).splitlines()
        direct = next(line.partition("=")[2] for line in lines if line.startswith("CHUTES_PORT="))
        ports = {
            "at the port of the instance": int(direct),
            "through the front": int(self.url.rpartition(":")[2]),
        }
        return [
            timed(f"1,000 calls {place}", lambda port=port: _echoes(port, 1000))
            for _ in range(rounds)
            for place, port in ports.items()
        ]

    def _ready(self) -> list[str]:
        slug = f"benchmarks/{self.name}"
        deployed = next(one for one in self.platform.deployments() if one.slug == slug)
        return [one.name for one in deployed.instances if one.state == "ready"]

    def _lost(self, event: str, found: dict[str, Calls]) -> list[Loss]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        connection.request("GET", "/begun")
        begun = Counter(json.loads(connection.getresponse().read()))
        connection.close()
        return [loss(event, client, found[client], begun) for client in CLIENTS]

    def _write(self, version: str) -> None:
        text = _APP.replace("NAME", self.name).replace("BASE", BASE).replace("VERSION", version)
        (self.folder / "app.py").write_text(text)

    def _build(self, *words: str) -> str:
        command = [sys.executable, "-m", "chutes", "build", "app.py", "--tool", "podman", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        return f"localhost/{done.stdout.strip()}"


def loss(event: str, client: str, calls: Calls, begun: "Counter[str]") -> Loss:
    """What one kind of client lost, from what the chute says that it has begun."""
    return Loss(
        event=event,
        client=client,
        calls=len(calls.answered) + len(calls.failed),
        failed=len(calls.failed),
        not_begun=sum(1 for name in calls.failed if not begun[name]),
        twice=sum(1 for name in (*calls.answered, *calls.failed) if begun[name] > 1),
        reasons=tuple(sorted(set(calls.failed.values()))),
    )


def timed(what: str, do: Callable[[], object]) -> Cost:
    """How long it takes to do it."""
    since, busy = time.monotonic(), busy_seconds()
    do()
    seconds = time.monotonic() - since
    return Cost(what=what, seconds=seconds, busy=(busy_seconds() - busy) / seconds)


def _podman(*words: str) -> str:
    done = subprocess.run(["podman", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"podman {' '.join(words)} failed:\n{done.stderr}")
    return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    """Return with the first good answer."""

    def answers() -> bool:
        try:
            _echoes(port, 1)
        except (OSError, http.client.HTTPException):
            return False
        return True

    _wait_until(answers)


def _wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError(f"It did not happen within {_READY_SECONDS:g} s.")
        time.sleep(0.01)


def _echoes(port: int, count: int) -> None:
    """Calls one after the other, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(count):
        connection.request("GET", "/echo")
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"It answered {answer.status}.")
    connection.close()


def _nowhere(_text: str) -> None:
    """Where the platform says what it does."""
