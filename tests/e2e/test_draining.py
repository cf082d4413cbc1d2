"""Between the signal to stop and the end: what clients with open connections see, byte by byte."""

import itertools
import json
import socket
import threading
import time
from contextlib import closing, contextmanager

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.chute_process import SECONDS, chute_process
from support.switch import Switch

APP = """
import asyncio, os
from fastapi import WebSocket
from chutes import Chute

chute = Chute(username="me", name="leaving", image="python:3.11", concurrency={concurrency}, max_queue=0, drain_delay={delay})

@chute.cord("/pid")
async def pid(self) -> int:
    return os.getpid()

@chute.cord("/work")
async def work(self, seconds: float):
    print("work begins", flush=True)
    await asyncio.sleep(seconds)
    return "worked"

@chute.cord("/count", stream=True)
async def count(self, upto: int):
    for n in range(upto):
        yield str(n) + " "
        await asyncio.sleep(0.05)

@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())

@chute.cord("/block")
async def block(self, seconds: float):
    print("blocks", flush=True)
    import time
    time.sleep(seconds)
"""


@pytest.fixture
def running(tmp_path):
    """Serves it, until it is ready; each process has a folder of its own."""
    numbers = itertools.count()

    @contextmanager
    def start(delay=30, concurrency=4, fast=True):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / "app.py").write_text(APP.format(delay=delay, concurrency=concurrency))
        words = ("app.py", "--port", 0)
        fast_path = "on" if fast else "off"
        with chute_process(*words, folder=folder, log=folder / "log", CHUTES_FAST_PATH=fast_path) as chute:
            assert chute.url
            yield chute

    return start


def request(path, content=None, version="1.1", fields=""):
    body = b"" if content is None else json.dumps(content).encode()
    method = "GET" if content is None else "POST"
    head = f"{method} {path} HTTP/{version}\r\nHost: x\r\n{fields}"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connection:
    """A bare connection, and the answers on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """Status, fields and body of the next answer; None at a clean end."""
        first = self.file.readline()
        if not first:
            return None
        fields = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        return int(first.split()[1]), fields, self._body(fields)

    def ask(self, *arguments, **options):
        """The answer to a request."""
        self.send(request(*arguments, **options))
        return self.answer()

    def close(self):
        self.file.close()
        self.socket.close()

    def _body(self, fields):
        if "content-length" in fields:
            return self.file.read(int(fields["content-length"]))
        if "transfer-encoding" not in fields:
            return self.file.read()
        parts = []
        while size := int(self.file.readline(), 16):
            parts.append(self.file.read(size))
            self.file.readline()
        self.file.readline()
        return b"".join(parts)


@pytest.fixture
def connection():
    """Opens connections that the end of the test closes."""
    opened = []

    def open_one(chute):
        opened.append(Connection(chute.port))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def drain(chute):
    """Send the signal; returns once the chute has taken it."""
    chute.send()
    with chute.client() as client:
        chute.wait_until(lambda: client.get("/readyz").status_code == 503)


@pytest.mark.parametrize("fast", [True, False], ids=["short way", "FastAPI's way"])
def test_every_answer_is_the_last_of_its_connection_while_it_drains(running, connection, fast):
    with running(fast=fast) as chute:
        before = connection(chute).ask("/pid", {})
        drain(chute)
        asked = [
            (200, ("/pid", {})),
            (200, ("/count", {"upto": 3})),
            (422, ("/work", {"seconds": "many"})),
            (404, ("/nowhere",)),
            (405, ("/pid",)),
            (200, ("/openapi.json",)),
            (200, ("/metrics",)),
            (200, ("/livez",)),
            (503, ("/readyz",)),
        ]
        answers = []
        for _, arguments in asked:
            client = connection(chute)
            answers.append((*client.ask(*arguments), client.answer()))

    assert "connection" not in before[1]
    assert [answer[0] for answer in answers] == [status for status, _ in asked]
    assert [answer[1].get("connection") for answer in answers] == ["close"] * len(asked)
    # Nothing follows: the connection has come to a clean end.
    assert [answer[3] for answer in answers] == [None] * len(asked)


def test_a_client_of_http_1_0_is_told_so_too(running, connection):
    with running() as chute:
        drain(chute)
        client = connection(chute)
        status, fields, body = client.ask(
            "/count", {"upto": 3}, version="1.0", fields="Connection: keep-alive\r\n"
        )
        assert (status, fields["connection"], body, client.answer()) == (200, "close", b"0 1 2 ", None)


def test_a_refusal_is_the_last_answer_of_its_connection(running, connection):
    with running(concurrency=1) as chute:
        busy, client = connection(chute), connection(chute)
        busy.send(request("/work", {"seconds": 600}))
        chute.wait_until_it_says("work begins")
        drain(chute)
        status, fields, _ = client.ask("/work", {"seconds": 0})
        assert (status, fields["connection"], client.answer()) == (503, "close", None)
        assert int(fields["retry-after"]) > 0


def test_a_connection_that_was_idle_at_the_signal_is_answered_once_more(running, connection):
    with running() as chute:
        client = connection(chute)
        assert client.ask("/pid", {})[0] == 200
        drain(chute)
        status, fields, _ = client.ask("/pid", {})
        assert (status, fields["connection"], client.answer()) == (200, "close", None)


def test_a_stream_that_began_before_the_signal_leaves_its_connection_open_for_one_more_answer(
    running, connection
):
    with running() as chute:
        client = connection(chute)
        client.send(request("/count", {"upto": 20}))
        assert client.socket.recv(1, socket.MSG_PEEK)
        drain(chute)
        status, fields, body = client.answer()
        assert (status, body.split()[-1]) == (200, b"19")
        assert "connection" not in fields
        status, fields, _ = client.ask("/pid", {})
        assert (status, fields["connection"], client.answer()) == (200, "close", None)


def test_of_pipelined_requests_those_behind_the_last_answer_are_not_begun(running, connection):
    with running() as chute:
        client = connection(chute)
        drain(chute)
        client.send(request("/work", {"seconds": 0.2}) * 3)
        status, fields, _ = client.answer()
        assert (status, fields["connection"], client.answer()) == (200, "close", None)
        assert chute.text.count("work begins") == 1


def test_websockets_are_opened_and_served_until_the_end_of_the_delay(running):
    with running(delay=1) as chute:
        drain(chute)
        with connect(chute.url.replace("http", "ws") + "/talk") as talk:
            talk.send("hello")
            assert talk.recv() == "hello"
            with pytest.raises(ConnectionClosed) as closed:
                talk.recv(timeout=SECONDS)
        assert closed.value.rcvd.code == 1012
        assert chute.wait() == 0


def test_a_second_signal_ends_the_delay(running):
    with running(delay=600) as chute:
        drain(chute)
        time.sleep(0.6)
        assert chute.stop() == 143


def test_what_waits_in_the_backlog_and_in_open_connections_at_the_end_is_answered(running, connection):
    """The loop is held while the delay ends: when it wakes up, the port is to be closed at once."""
    with running(delay=0) as chute:
        idle, partial, blocking = (connection(chute) for _ in range(3))
        assert idle.ask("/pid", {})[0] == 200
        late = request("/pid", {})
        blocking.send(request("/block", {"seconds": 1.0}))
        chute.wait_until_it_says("blocks")
        chute.send()
        waiting = [connection(chute) for _ in range(20)]
        for one in (idle, *waiting):
            one.send(late)
        partial.send(late[:10])
        answers = [one.answer() for one in (idle, *waiting, blocking)]
        partial.send(late[10:])
        answers.append(partial.answer())
        assert chute.wait() == 0

    assert [answer and answer[0] for answer in answers] == [200] * len(answers)
    assert {answer[1]["connection"] for answer in answers} == {"close"}


def test_no_request_is_lost_while_another_process_takes_the_place(running):
    """Two clients at 25 requests a second, one of which keeps its connection, and a switch that notices late."""
    with running(delay=3) as old, running(delay=0) as new, closing(Switch(old.port)) as switch:
        statuses, over = [], threading.Event()
        clients = [
            threading.Thread(target=ask_until, args=(over, switch.port, statuses, keeps))
            for keeps in (True, False)
        ]
        for client in clients:
            client.start()
        old.wait_until(lambda: len(statuses) > 25)
        old.send()
        # It looks at the probe now and then, as a cluster does.
        with old.client() as probe:
            old.wait_until(lambda: probe.get("/readyz").status_code == 503)
        time.sleep(0.5)
        switch.to = new.port
        assert old.wait() == 0
        seen = len(statuses)
        new.wait_until(lambda: len(statuses) > seen + 25)
        over.set()
        for client in clients:
            client.join(SECONDS)
        pids = {pid for _, pid in statuses}

    assert {status for status, _ in statuses} == {200}
    assert pids == {old.process.pid, new.process.pid}


def ask_until(over, port, statuses, keeps):
    """Note the outcome of each call; a client without retries, so that nothing is lost unseen."""
    fields = {} if keeps else {"Connection": "close"}
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=SECONDS, headers=fields
    ) as client:
        while not over.wait(0.04):
            try:
                answer = client.post("/pid", json={})
                statuses.append((answer.status_code, answer.json()))
            except httpx2.TransportError as error:
                statuses.append((repr(error), 0))
