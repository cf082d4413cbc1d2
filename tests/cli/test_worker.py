"""`chutes worker` and `chutes run --no-jobs`: real processes over one database."""

import json
import signal
import time
import urllib.request

import pytest

CHUTE = """
import asyncio
from pathlib import Path

from chutes import Chute

chute = Chute(username="me", name="hello", image="python:3.11", max_jobs=2, shutdown_grace=20)


@chute.on_startup()
async def load(self):
    self.model = "loaded"


@chute.on_shutdown()
async def unload(self):
    Path("unloaded").touch()


@chute.cord("/hello", minimal_input_schema={"name": "Ada"})
async def hello(self, name: str = "you") -> str:
    Path("called").touch()
    return f"Hello, {name}!"


@chute.job()
async def greet(self, name: str) -> str:
    return f"{self.model}: {name}"


@chute.job()
async def linger(self) -> str:
    Path("begun").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "whole"
"""


def ask(url, value=None):
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def end_of(url):
    """The run, once it has ended."""

    def ended():
        run = ask(url)
        return run if run["finished_at"] else None

    return wait_until(ended)


@pytest.fixture
def shell(shell):
    shell.write("app.py", CHUTE)
    return shell


class Worker:
    """A `chutes worker` that takes runs."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        while not self.lines or "runs its jobs" not in self.lines[-1]["message"]:
            self.lines.append(json.loads(process.stderr.readline()))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.stderr.read()
        return self.process.wait(timeout=60), rest


def test_a_chute_without_its_jobs_leaves_them_to_a_worker(shell):
    with shell.serving("run", "app.py", "--port", "0", "--no-jobs") as server:
        run = ask(f"{server.url}/jobs/greet", {"name": "Ada"})
        place = f"{server.url}/jobs/greet/{run['id']}"
        assert run["status"] == "queued"
        with shell.popen("worker", "app.py") as process:
            worker = Worker(process)
            ended = end_of(place)
            code, _ = worker.stop()

        assert (ended["status"], ended["result"]) == ("succeeded", "loaded: Ada")
        assert code == 0
        assert (shell.folder / "unloaded").exists()
        # No worker is left, and the server does not take its place.
        later = ask(f"{server.url}/jobs/greet", {"name": "Bo"})
        time.sleep(1.5)
        assert ask(f"{server.url}/jobs/greet/{later['id']}")["status"] == "queued"


def test_a_worker_says_what_it_does_and_calls_no_cord(shell):
    with shell.popen("worker", "app.py", "--max-jobs", "3") as process:
        worker = Worker(process)
        worker.stop()

    assert worker.lines[-1]["message"] == "me/hello runs its jobs, 3 at once: greet, linger."
    assert not (shell.folder / "called").exists()


def test_a_worker_that_is_told_to_stop_ends_what_it_has_begun(shell):
    with shell.serving("run", "app.py", "--port", "0", "--no-jobs") as server:
        run = ask(f"{server.url}/jobs/linger", {})
        with shell.popen("worker", "app.py") as process:
            worker = Worker(process)
            wait_until((shell.folder / "begun").exists)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Stopping: 1 runs" in process.stderr.readline())
            (shell.folder / "go").touch()
            assert process.wait(timeout=60) == 0

        ended = ask(f"{server.url}/jobs/linger/{run['id']}")
        assert (ended["status"], ended["result"], ended["attempts"]) == ("succeeded", "whole", 1)
        assert worker.lines


def test_a_worker_answers_probes_on_a_port_of_their_own(shell):
    with shell.popen("worker", "app.py", "--probe-port", "0") as process:
        worker = Worker(process)
        probes = next(line["probe_url"] for line in worker.lines if "probe_url" in line)

        assert ask(f"{probes}/readyz") == {"status": "ready"}
        assert worker.stop()[0] == 0


def test_a_worker_whose_startup_fails_exits_with_1(shell):
    shell.write("app.py", CHUTE.replace('self.model = "loaded"', "raise OSError(28)"))

    code, _, err = shell.run("worker", "app.py")

    assert code == 1
    assert "OSError: 28" in err


def test_a_worker_of_a_chute_without_jobs_is_refused(shell):
    shell.write("app.py", shell.chute)

    code, _, err = shell.run("worker", "app.py")

    assert code == 2
    assert "me/hello has no jobs. Write one with `@chute.job()`" in err
