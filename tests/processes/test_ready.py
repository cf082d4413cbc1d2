"""When a child process counts as started, with real children."""

import asyncio
import socket
import sys
import time

import pytest

from chutes.errors import ProcessError
from chutes.processes import (
    Command,
    HttpAnswers,
    LineMatches,
    LocalLauncher,
    LocalProcess,
    PortOpen,
    ReadyCheck,
)
from support.child_processes import becomes_true

LISTEN = """
import socket, sys, time
print('loading', flush=True)
time.sleep(0.3)
with socket.create_server(('127.0.0.1', int(sys.argv[1]))):
    print('listening', flush=True)
    time.sleep(60)
"""
ANSWER = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    answers = [503, 404, 200]

    def do_GET(self):
        print(self.path, flush=True)
        self.send_response(self.answers.pop(0))
        self.end_headers()

http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""
SILENT = """
import socket, sys, time
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as listener:
    listener.accept()[0].sendall(b'SSH-2.0-x\\r\\n')
    listener.accept()[0].sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n')
    print('answered', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def launch(
    code: str, *arguments: object, ready: ReadyCheck | None, timeout: float = 20
) -> LocalProcess:
    argv = (sys.executable, "-c", code, *map(str, arguments))
    return await LocalLauncher().launch(Command(argv=argv, name="engine", ready=ready, start_timeout=timeout))


async def test_a_port_that_opens_makes_it_ready(port):
    process = await launch(LISTEN, port, ready=PortOpen(port=port))
    await process.wait_ready()
    await becomes_true(lambda: process.tail() == ("loading", "listening"))
    await process.stop(grace=0)


async def test_the_status_200_makes_it_ready_and_no_other(port):
    process = await launch(ANSWER, port, ready=HttpAnswers(port=port, path="/health?deep=1"))
    await process.wait_ready()
    assert [line for line in process.tail() if line.startswith("/")] == ["/health?deep=1"] * 3
    await process.stop(grace=0)


async def test_an_answer_that_is_no_http_does_not_make_it_ready(port):
    process = await launch(SILENT, port, ready=HttpAnswers(port=port))
    await process.wait_ready()
    await becomes_true(lambda: process.tail() == ("answered",))
    await process.stop(grace=0)


async def test_a_line_of_the_output_makes_it_ready(port):
    process = await launch(LISTEN, port, ready=LineMatches(pattern="^listen"))
    await process.wait_ready()
    await process.stop(grace=0)


async def test_without_a_check_it_is_ready_as_soon_as_it_runs():
    process = await launch("import time; time.sleep(60)", ready=None)
    await process.wait_ready()
    assert process.exit_code is None
    await process.stop(grace=0)


@pytest.mark.parametrize("check", [PortOpen(port=1), HttpAnswers(port=1), LineMatches(pattern="never")])
async def test_a_program_that_ends_first_fails_at_once_with_its_last_lines(check):
    process = await launch("print('no weights'); print('at all'); exit(3)", ready=check)
    begin = time.monotonic()
    with pytest.raises(ProcessError) as caught:
        await process.wait_ready()
    assert time.monotonic() - begin < 5
    assert str(caught.value) == (
        "engine ended with exit code 3 before it was ready. Its last lines:\n  no weights\n  at all"
    )


async def test_a_program_that_is_too_slow_fails_and_runs_on():
    process = await launch("import time; time.sleep(60)", ready=LineMatches(pattern="never"), timeout=0.2)
    with pytest.raises(ProcessError, match=r"engine was not ready within 0\.2 s\."):
        await process.wait_ready()
    assert process.exit_code is None
    await process.stop(grace=0)


async def test_several_tasks_can_wait_for_readiness(port):
    process = await launch(LISTEN, port, ready=LineMatches(pattern="listening"))
    await asyncio.gather(process.wait_ready(), process.wait_ready())
    await process.stop(grace=0)


@pytest.mark.parametrize("path", ["health", "", "/a b", "/a\r\nX: y"])
def test_a_path_that_no_request_can_have_is_refused(path):
    with pytest.raises(ValueError, match="Invalid path"):
        HttpAnswers(port=1, path=path)


def test_a_pattern_that_is_no_expression_is_refused():
    with pytest.raises(ValueError, match="Invalid pattern"):
        LineMatches(pattern="(")
