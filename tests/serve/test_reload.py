"""Reload with real processes: a program that serves, a supervisor above it, and a client that never stops asking."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chutes.errors import ProcessError, ServeError
from chutes.serve.listener import bind
from chutes.serve.reload import serve_with_reload
from support.child_processes import is_alive, wait_until, wait_until_gone

PROGRAM = """
import asyncio, os, signal, sys, time
import uvicorn
from chutes.serve.listener import from_fd

VERSION = "first"

async def app(scope, receive, send):
    if scope["path"] == "/exit":
        os._exit(3)
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{VERSION} {os.getpid()}".encode()})

class Server(uvicorn.Server):
    async def shutdown(self, sockets=None):
        # uvicorn closes each connection whose request it has not read yet: let it read those first.
        for server in self.servers:
            server.close()
        await asyncio.sleep(0.1)
        await super().shutdown(sockets)

listener = from_fd(int(os.environ["CHUTES_LISTEN_FD"]))
print("port", listener.getsockname()[1], flush=True)
Server(uvicorn.Config(app, lifespan="off", log_level="error")).run(sockets=[listener])
"""
# Counts the polite signals and ends at none of them.
DEAF = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: print("signal", number, flush=True))
print("port 0", flush=True)
print("pid", os.getpid(), flush=True)
while True:
    time.sleep(60)
"""
SUPERVISOR = """
import logging, sys
from pathlib import Path
from chutes.serve.reload import serve_with_reload

logging.basicConfig(format="%(name)s %(message)s", level="INFO")
folder = Path(sys.argv[1])
program = [sys.executable, str(folder / "app.py")]
sys.exit(serve_with_reload(program, watch=[folder], host="127.0.0.1", port=0, grace=float(sys.argv[2])))
"""


class Reloading:
    """A supervisor in a process of its own, and what it and its program wrote."""

    def __init__(self, folder: Path, grace: float = 5) -> None:
        self.app = folder / "app.py"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(folder), str(grace)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.port = int(self.line(r"port (\d+)")[1])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def line(self, pattern: str, number: int = 1) -> re.Match[str]:
        """Waits for the `number`th line in which the pattern is found."""

        def found() -> list[re.Match[str]]:
            return [match for line in list(self.lines) if (match := re.search(pattern, line))]

        try:
            wait_until(lambda: len(found()) >= number, seconds=20)
        except AssertionError:
            pytest.fail(f"No line {pattern!r} in {self.lines}")
        return found()[number - 1]

    def get(self, path: str = "/") -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(client):
            client.request("GET", path)
            response = client.getresponse()
            return response.status, response.read().decode()

    def version(self) -> str:
        status, body = self.get()
        return body.split()[0] if status == 200 else str(status)

    def save(self, old: str, new: str) -> None:
        text = self.app.read_text()
        assert old in text
        self.app.write_text(text.replace(old, new))

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def reloading(tmp_path) -> Iterator[Reloading]:
    (tmp_path / "app.py").write_text(PROGRAM)
    with contextlib.closing(Reloading(tmp_path)) as reloading:
        yield reloading


@pytest.fixture
def deaf(tmp_path) -> Iterator[Reloading]:
    (tmp_path / "app.py").write_text(DEAF)
    with contextlib.closing(Reloading(tmp_path, grace=0.3)) as reloading:
        yield reloading


def test_a_saved_file_is_served_by_a_new_process(reloading):
    status, first = reloading.get()
    reloading.save("first", "second")
    reloading.line("chutes.reload app.py changed: reloading")
    wait_until(lambda: reloading.version() == "second")
    assert status == 200
    assert not is_alive(int(first.split()[1]))


def test_no_request_is_refused_or_lost_while_it_reloads(reloading):
    done = threading.Event()
    answers: list[list[str]] = [[], [], []]

    def ask(mine: list[str]) -> None:
        while not done.is_set():
            mine.append(reloading.version())

    clients = [threading.Thread(target=ask, args=[mine]) for mine in answers]
    reloading.version()
    for client in clients:
        client.start()
    try:
        for number, (old, new) in enumerate(
            [("first", "second"), ("second", "third"), ("third", "fourth")], 1
        ):
            reloading.save(f'"{old}"', f'"{new}"')
            reloading.line("port", number + 1)
            wait_until(lambda new=new: all(mine and mine[-1] == new for mine in answers), 20)
    finally:
        done.set()
        for client in clients:
            client.join()
    for mine in answers:
        assert list(dict.fromkeys(mine)) == ["first", "second", "third", "fourth"]


def test_a_request_under_way_is_answered_by_the_process_that_took_it(reloading):
    reloading.version()
    slow = []
    client = threading.Thread(target=lambda: slow.append(reloading.get("/slow")))
    client.start()
    time.sleep(0.3)
    reloading.save("first", "second")
    client.join()
    assert [(status, body.split()[0]) for status, body in slow] == [(200, "first")]
    assert reloading.version() == "second"


def test_a_syntax_error_keeps_the_old_process_and_is_told_with_its_line(reloading):
    before = reloading.get()
    reloading.save('VERSION = "first"', 'VERSION = "second')
    reloading.line(
        r"app.py, line 6: unterminated string literal .*: VERSION = \"second\. Not reloaded: fix it"
    )
    assert reloading.get() == before
    reloading.save('"second', '"second"')
    wait_until(lambda: reloading.version() == "second")


def test_a_broken_file_blocks_the_reload_that_another_file_asks_for(reloading):
    before = reloading.get()
    other = reloading.app.with_name("other.py")
    other.write_text("def f(:\n")
    reloading.line("other.py, line 1")
    reloading.save("first", "second")
    reloading.line("other.py, line 1", 2)
    assert reloading.get() == before
    other.unlink()
    wait_until(lambda: reloading.version() == "second")


def test_a_program_that_does_not_start_is_told_and_answered_for_until_it_does(reloading):
    reloading.version()
    reloading.save('VERSION = "first"', 'VERSION = nothing_of_that_name\nVERSION = "second"')
    reloading.line("NameError: name 'nothing_of_that_name' is not defined")
    reloading.line(
        rf"chutes.reload The chute ended with exit code 1\. Fix .*: watching {reloading.app.parent}\."
    )
    wait_until(lambda: reloading.version() == "503")
    status, body = reloading.get("/generate")
    assert (status, body) == (
        503,
        '{"detail": "The chute does not run: it ended with exit code 1. Its terminal says why."}',
    )
    reloading.save("VERSION = nothing_of_that_name\n", "")
    wait_until(lambda: reloading.version() == "second")


def test_a_program_that_crashes_later_is_answered_for_and_comes_back_with_the_next_save(reloading):
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        reloading.get("/exit")
    reloading.line("The chute ended with exit code 3")
    wait_until(lambda: reloading.version() == "503")
    reloading.save("first", "second")
    wait_until(lambda: reloading.version() == "second")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_program_drain_and_ends_with_0(reloading, number):
    pid = int(reloading.get()[1].split()[1])
    slow = []
    client = threading.Thread(target=lambda: slow.append(reloading.get("/slow")[0]))
    client.start()
    time.sleep(0.3)
    assert reloading.end(number) == 0
    client.join()
    assert slow == [200]
    assert not is_alive(pid)


def test_a_signal_ends_it_also_while_no_program_runs(reloading):
    reloading.version()
    with contextlib.suppress(OSError, http.client.HTTPException):
        reloading.get("/exit")
    wait_until(lambda: reloading.version() == "503")
    assert reloading.end() == 0


def test_one_ctrl_c_is_one_signal_and_a_second_kills(deaf):
    """A terminal signals its whole foreground group, of which the program must not be."""
    pid = int(deaf.line(r"pid (\d+)")[1])
    os.killpg(deaf.process.pid, signal.SIGINT)
    deaf.line("signal")
    time.sleep(0.7)
    assert is_alive(pid), "The grace of a reload bounds no last drain."
    os.killpg(deaf.process.pid, signal.SIGINT)
    assert deaf.process.wait(20) == 0
    assert not is_alive(pid)
    assert len([line for line in deaf.lines if line.startswith("signal")]) == 1


def test_a_program_that_does_not_end_for_a_reload_is_killed_after_the_grace(deaf):
    first = int(deaf.line(r"pid (\d+)")[1])

    def is_killed() -> bool:
        # What is saved before the folder is watched goes unseen.
        deaf.save("print", "print")
        time.sleep(0.5)
        return any("The chute did not end within 0.3 s: killed" in line for line in deaf.lines)

    wait_until(is_killed, seconds=20)
    second = int(deaf.line(r"pid (\d+)", 2)[1])
    assert second != first
    assert not is_alive(first)


def test_a_killed_supervisor_leaves_no_program_and_a_free_port(deaf):
    pid = int(deaf.line(r"pid (\d+)")[1])
    deaf.process.kill()
    wait_until_gone([pid])


def test_the_port_is_free_after_a_killed_supervisor(reloading):
    pid = int(reloading.get()[1].split()[1])
    reloading.process.kill()
    wait_until_gone([pid])
    bind("127.0.0.1", reloading.port).close()


def test_a_taken_port_is_refused_before_anything_starts(tmp_path):
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServeError, match="is taken"):
            serve_with_reload(["no-such-program"], watch=[tmp_path], host="127.0.0.1", port=port)


def test_a_folder_that_is_not_there_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(ServeError, match="gone: no such folder"):
        serve_with_reload(["no-such-program"], watch=[tmp_path / "gone"], host="127.0.0.1", port=0)


def test_a_program_that_cannot_be_started_at_all_ends_it(tmp_path):
    with pytest.raises(ProcessError, match="no-such-program"):
        serve_with_reload(["no-such-program"], watch=[tmp_path], host="127.0.0.1", port=0)


AGAIN = "import os, sys\nfrom chutes.serve.reload import this_program\nos.chdir('/')\nprint(*this_program()[1:])\n"


@pytest.mark.parametrize(
    ("arguments", "again"),
    [
        (["app.py", "--fast", "a"], "{folder}/app.py --fast a"),
        (["-X", "dev", "-W", "error", "app.py"], "-X dev -W error {folder}/app.py"),
        (["-m", "app", "x"], "-m app x"),
        (["-c", "import app"], "-c import app"),
    ],
)
def test_this_program_is_started_again_as_it_was(tmp_path, arguments, again):
    (tmp_path / "app.py").write_text(AGAIN)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == again.format(folder=tmp_path)


def test_a_program_without_a_file_cannot_be_started_again():
    done = subprocess.run([sys.executable], input=AGAIN, capture_output=True, text=True, check=False)
    assert "pass reload=False" in done.stderr
