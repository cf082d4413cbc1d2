"""From the first line of a startup hook to the exit code: real signals to real processes."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.chute_process import SECONDS, reserved_port

# Each signal goes the same way: the second is tried where there is time.
SIGNALS = [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
HEAD = """
import asyncio, threading, time
from pathlib import Path
from fastapi import WebSocket
from chutes import Chute

def chute_with(**options):
    return Chute(username="me", name="lifecycle", image="python:3.11", **options)
"""
PLAIN = (
    HEAD
    + """
chute = chute_with()

@chute.cord("/hello")
async def hello(self):
    return "hello"
"""
)
WORKING = (
    HEAD
    + """
chute = chute_with(concurrency=2, {options})

@chute.on_startup()
async def begin(self):
    self.started = asyncio.Event()
    asyncio.create_task(self.tick())

async def tick(self):
    try:
        await asyncio.Event().wait()
    finally:
        print("the background task was cancelled")

@chute.cord("/work")
async def work(self, seconds: float = 1.0):
    print("work begins")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(0.05)
        print("work was cut short")
        raise
    print("work ends")
    return "worked"

@chute.cord("/count", stream=True)
async def count(self, upto: int = 10):
    for n in range(upto):
        yield str(n) + " "
        await asyncio.sleep(0.1)

@chute.cord("/hang")
def hang(self):
    print("hangs")
    time.sleep(600)

@chute.cord("/hang-elsewhere")
async def hang_elsewhere(self):
    print("hangs")
    await asyncio.to_thread(time.sleep, 600)

@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    finally:
        print("the conversation is over")

@chute.on_shutdown(priority=10)
async def fails(self):
    raise OSError("this hook fails")

@chute.on_shutdown()
async def farewell(self):
    print("the shutdown hook ran")
"""
)


@pytest.fixture
def running(program):
    """Serves the chute that works, until it is ready."""

    def start(options="", **environ):
        program.write(WORKING.replace("{options}", options))
        return program.start("app.py", "--port", 0, **environ)

    return start


def get(port, path):
    with httpx2.Client(trust_env=False, timeout=SECONDS) as client:
        return client.get(f"http://127.0.0.1:{port}{path}")


def wait_until_it_listens(chute, port):
    def listens():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return False
        return True

    chute.wait_until(listens)


@pytest.mark.parametrize(
    "hook",
    [
        "async def load(self):\n    time.sleep(2.5)",
        pytest.param("async def load(self):\n    await asyncio.sleep(2.5)", marks=pytest.mark.slow),
        pytest.param("def load(self):\n    time.sleep(2.5)", marks=pytest.mark.slow),
    ],
    ids=["blocks the loop", "waits", "in a thread"],
)
def test_the_port_answers_while_a_startup_hook_runs(program, hook):
    program.write(f"{PLAIN}\n@chute.on_startup()\n{hook}\n")

    with reserved_port() as port, program.start("app.py", "--port", port) as chute:
        wait_until_it_listens(chute, port)
        begun = time.monotonic()
        alive, ready, health, other = (
            get(port, path) for path in ("/livez", "/readyz", "/health", "/openapi.json?x=1")
        )
        took = time.monotonic() - begun
        with pytest.raises(Exception, match="503"):
            connect(f"ws://127.0.0.1:{port}/talk")
        assert "is ready" not in chute.text
        statuses = []
        while statuses[-1:] != [200]:
            statuses.append(get(port, "/readyz").status_code)

    assert took < 1.5
    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert [answer.status_code for answer in (ready, health, other)] == [503] * 3
    assert {answer.headers["retry-after"] for answer in (ready, health, other)} == {"1"}
    assert ready.json()["status"] == health.json()["status"] == "starting"
    assert all("x-request-id" in answer.headers for answer in (alive, ready, health, other))
    # Nobody was refused in between, from the first answer of the thread to the first of the chute.
    assert set(statuses[:-1]) == {503}


@pytest.mark.parametrize("function", ["def", "async def"])
def test_a_hook_that_fails_ends_the_process_with_its_users_traceback(program, function):
    program.write(
        f"{PLAIN}\n"
        "def read_weights(path):\n"
        "    return Path(path).read_text()\n\n"
        "@chute.on_startup()\n"
        f"{function} load(self):\n"
        "    read_weights('no-such-weights.bin')\n\n"
        "@chute.on_shutdown()\n"
        "def never(self):\n"
        "    print('the shutdown hook ran')\n"
    )

    with program.start("app.py", "--port", 0) as chute:
        code = chute.wait()

    assert code == 1
    assert "in load" in chute.text
    assert "in read_weights" in chute.text
    assert "FileNotFoundError: [Errno 2] No such file or directory: 'no-such-weights.bin'" in chute.text
    for foreign in ("chutes/serve", "lifecycle.py", "uvicorn", "asyncio/", "threads.py", "pathlib.py"):
        assert foreign not in chute.text
    assert chute.text.count("Traceback") == 1


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "hook",
    [
        "async def load(self):\n    print('begun')\n    time.sleep(600)",
        "async def load(self):\n    print('begun')\n    await asyncio.sleep(600)",
        "def load(self):\n    print('begun')\n    time.sleep(600)",
    ],
    ids=["blocks the loop", "waits", "in a thread"],
)
def test_a_signal_during_startup_ends_the_process(program, hook, number):
    program.write(f"{PLAIN}\n@chute.on_startup()\n{hook}\n")

    with program.start("app.py", "--port", 0) as chute:
        chute.wait_until_it_says("begun")
        begun = time.monotonic()
        code = chute.stop(number)

    assert code == 128 + number
    assert time.monotonic() - begun < 10
    assert "Traceback" not in chute.text


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_lets_calls_finish_and_takes_no_new_ones(running, number):
    with running() as chute, ThreadPoolExecutor() as pool, chute.client() as client:
        port = chute.port
        running_calls = [pool.submit(client.post, "/work", json={"seconds": 1.5}) for _ in range(2)]
        chute.wait_until(lambda: chute.text.count("work begins") == 2)
        waiting_call = pool.submit(client.post, "/work", json={"seconds": 0.1})
        chute.wait_until(lambda: chute.gauge("waiting") == 1)
        chute.send(number)
        refused = None
        while refused is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except ConnectionError as error:
                refused = error
        assert chute.process.poll() is None
        answers = [call.result() for call in (*running_calls, waiting_call)]
        code = chute.wait()

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, "worked")] * 3
    assert code == 0
    # The failing hook keeps no other from running.
    assert "The shutdown hook 'fails' failed." in chute.messages
    assert "the shutdown hook ran" in chute.text
    assert chute.text.index("work ends") < chute.text.index("the shutdown hook ran")
    assert chute.text.index("the shutdown hook ran") < chute.text.index("the background task was cancelled")


def test_work_is_taken_for_the_drain_delay_while_the_probe_says_no(running):
    with running("drain_delay=1.5") as chute, chute.client() as client:
        assert client.get("/readyz").status_code == 200
        begun = time.monotonic()
        chute.send()
        chute.wait_until(lambda: client.get("/readyz").status_code == 503)
        noticed = time.monotonic() - begun
        probes = [client.get(path) for path in ("/readyz", "/health", "/livez")]
        answer = client.post("/work", json={"seconds": 0.0})
        code = chute.wait()
        took = time.monotonic() - begun

    assert noticed < 1.0
    assert [probe.status_code for probe in probes] == [503, 503, 200]
    assert probes[0].json() == {"status": "draining"}
    assert (answer.status_code, answer.json()) == (200, "worked")
    # A client with a kept-alive connection is sent elsewhere.
    assert answer.headers["connection"] == "close"
    assert code == 0
    assert took >= 1.5


def test_a_stream_that_runs_is_sent_to_its_end(running):
    with running() as chute, chute.client() as client:
        with client.stream("POST", "/count", json={"upto": 12}) as answer:
            parts = answer.iter_text()
            first = next(parts)
            chute.send()
            rest = "".join(parts)
        code = chute.wait()

    assert first + rest == "".join(f"{n} " for n in range(12))
    assert code == 0


def test_a_call_that_outlasts_the_grace_period_is_cut_off(running):
    with running("shutdown_grace=0.5") as chute, ThreadPoolExecutor() as pool, chute.client() as client:
        call = pool.submit(client.post, "/work", json={"seconds": 600})
        chute.wait_until_it_says("work begins")
        begun = time.monotonic()
        code = chute.stop()
        took = time.monotonic() - begun
        answer = call.result()

    assert (answer.status_code, code) == (500, 0)
    assert answer.json()["detail"] == "The chute stopped before this call was done."
    assert "/work was cut off: it outlasted shutdown_grace." in chute.messages
    # What was cut off still has what the shutdown hooks take away.
    assert chute.text.index("work was cut short") < chute.text.index("the shutdown hook ran")
    assert took < 10
    assert "the shutdown hook ran" in chute.text
    assert "Traceback" not in "".join(line.get("exception", "") for line in chute.lines if not is_hooks(line))


@pytest.mark.parametrize("path", ["/hang", "/hang-elsewhere"])
def test_a_thread_that_hangs_does_not_hold_the_process(running, path):
    with running("shutdown_grace=0.5") as chute, ThreadPoolExecutor() as pool, chute.client() as client:
        call = pool.submit(client.post, path)
        chute.wait_until_it_says("hangs")
        begun = time.monotonic()
        code = chute.stop()
        took = time.monotonic() - begun
        with suppress(httpx2.TransportError):
            assert call.result().status_code == 500

    assert code == 0
    assert took < 10
    assert "the shutdown hook ran" in chute.text


@pytest.mark.parametrize(
    "keeper",
    [
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n",
        "    asyncio.create_task(asyncio.to_thread(time.sleep, 600))\n    await asyncio.sleep(0.1)\n",
        pytest.param(
            "    asyncio.create_task(self.go_on())\n    await asyncio.sleep(0.1)\n", marks=pytest.mark.slow
        ),
    ],
    ids=["a thread", "a thread of asyncio", "a task that ignores its cancellation"],
)
@pytest.mark.parametrize("starts", [True, False], ids=["after a stop", "after a hook that failed"])
def test_nothing_of_the_users_keeps_the_process_from_ending(program, keeper, starts):
    program.write(
        f"{PLAIN}\n"
        "async def go_on(self):\n"
        "    while True:\n"
        "        try:\n"
        "            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n"
        "            print('not now')\n\n"
        "@chute.on_startup()\n"
        "async def load(self):\n"
        f"{keeper}"
        f"{'' if starts else '    raise LookupError(chr(110) + chr(111))'}\n"
    )

    with program.start("app.py", "--port", 0) as chute:
        if starts:
            assert chute.url
            code = chute.stop()
        else:
            code = chute.wait()

    assert code == (0 if starts else 1)
    assert starts or "LookupError: no" in chute.text


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_it_at_once(running, number):
    with running() as chute, ThreadPoolExecutor() as pool, chute.client() as client:
        call = pool.submit(client.post, "/work", json={"seconds": 600})
        chute.wait_until_it_says("work begins")
        chute.send(number)
        chute.wait_until_it_says("Stopping")
        time.sleep(0.6)
        begun = time.monotonic()
        code = chute.stop(number)
        took = time.monotonic() - begun
        assert isinstance(call.exception(), httpx2.TransportError)

    assert code == 128 + number
    assert took < 5
    assert "the shutdown hook ran" not in chute.text


def test_a_signal_that_arrives_twice_at_once_is_one_signal(running):
    with running() as chute, ThreadPoolExecutor() as pool, chute.client() as client:
        call = pool.submit(client.post, "/work", json={"seconds": 1.0})
        chute.wait_until_it_says("work begins")
        chute.send(signal.SIGINT)
        time.sleep(0.1)
        chute.send(signal.SIGTERM)
        answer = call.result()
        code = chute.wait()

    assert (answer.status_code, code) == (200, 0)
    assert "the shutdown hook ran" in chute.text


def test_websockets_are_closed_with_1012(running):
    with running() as chute, connect(chute.url.replace("http", "ws") + "/talk") as talk:
        talk.send("hello")
        assert talk.recv() == "hello"
        begun = time.monotonic()
        chute.send()
        with pytest.raises(ConnectionClosed) as closed:
            talk.recv(timeout=10)
        code = chute.wait()

    assert closed.value.rcvd.code == 1012
    assert code == 0
    assert time.monotonic() - begun < 10
    assert chute.text.index("the conversation is over") < chute.text.index("the shutdown hook ran")
    assert "Traceback" not in "".join(line.get("exception", "") for line in chute.lines if not is_hooks(line))


def test_a_background_task_that_crashes_makes_health_unhealthy(program):
    program.write(
        f"{PLAIN}\n"
        "async def refresh(self):\n"
        "    await asyncio.sleep(0.3)\n"
        "    raise ConnectionError('the far end is away: password=hunter2')\n\n"
        "@chute.on_startup()\n"
        "async def begin(self):\n"
        "    asyncio.create_task(self.refresh())\n"
    )

    with program.start("app.py", "--port", 0) as chute, chute.client() as client:
        chute.wait_until(lambda: client.get("/health").status_code == 503)
        health, ready = client.get("/health"), client.get("/readyz")
        served = client.post("/hello")
        code = chute.stop()

    assert health.json()["status"] == "unhealthy"
    assert health.json()["crashed_tasks"] == ["refresh"]
    assert "hunter2" not in health.text
    assert (ready.status_code, served.status_code, code) == (200, 200, 0)
    logged = next(line for line in chute.lines if "'refresh' crashed" in line["message"])
    assert "hunter2" in logged["exception"]


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2)], ids=["stdin", "all three"])
def test_it_is_served_without_the_standard_streams(program, closed):
    program.write(PLAIN)
    launcher = (
        "import os, sys\n"
        f"[os.close(number) for number in {closed}]\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'chutes', 'run', *sys.argv[1:]])"
    )

    with reserved_port() as port, program.start("app.py", "--port", port, program=("-c", launcher)) as chute:
        wait_until_it_listens(chute, port)
        chute.wait_until(lambda: get(port, "/readyz").status_code == 200)
        with httpx2.Client(trust_env=False) as client:
            answer = client.post(f"http://127.0.0.1:{port}/hello", json={})
        code = chute.stop()

    assert (answer.status_code, answer.json(), code) == (200, "hello", 0)


def test_nothing_is_left_running(running):
    with running() as chute:
        assert chute.url
        group = os.getpgid(chute.process.pid)
        assert chute.stop() == 0
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)


def is_hooks(line):
    return "this hook fails" in line.get("exception", "")
