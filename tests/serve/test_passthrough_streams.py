"""Passthrough cords on real connections: streams, clients that leave, slow ends, deadlines."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest

from support.http_servers import ScriptedServer, asgi_server, silent_address, wait_until
from support.serving import new_chute
from support.upstream import answer, forward, upstream

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SECONDS = 30


@pytest.fixture
def other():
    with upstream() as server:
        yield server


@contextmanager
def served(chute):
    with (
        asgi_server(chute, lifespan="on") as url,
        httpx2.Client(base_url=url, timeout=SECONDS, trust_env=False) as client,
    ):
        yield client


def begin(response):
    """Waits for the first part; the stream is held open by whoever holds the response."""
    response.parts = response.iter_raw()
    return next(response.parts)


def port_of(client):
    return client.base_url.port


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def scripted(*scripts, **options):
    server = ScriptedServer(scripts)
    chute = new_chute(concurrency=2)
    forward(chute, "/run", int(server.url.rpartition(":")[2]), name="run", **options)
    return server, chute


def gauge(client, name):
    text = client.get("/metrics").text
    return next(
        float(line.split()[-1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))
    )


def test_each_event_comes_at_once_and_as_it_is(other):
    chute = new_chute()
    forward(chute, "/slow", other.port, name="slow", stream=True)
    with served(chute) as client, client.stream("POST", "/slow") as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = response.iter_raw()
        # The upstream goes on without an end: each part came before the next was made, or not at all.
        assert next(events).startswith(b"data: 1\n\n")
        assert b"data:" in next(events)


def test_the_bytes_of_a_stream_are_not_touched():
    body = b": hi\n\ndata: 1\r\n\r\nevent: x\rdata: \xff\x00\r\r"
    server, chute = scripted(EVENTS + chunk(body[:9]) + chunk(body[9:]) + b"0\r\n\r\n", stream=True)
    with served(chute) as client:
        assert client.post("/run").content == body
        text = client.get("/metrics").text
        assert 'chutes_chunks_total{cord="run"} 2' in text
        assert 'chutes_first_chunk_seconds_count{cord="run"} 1' in text
    server.close()


def test_a_client_that_leaves_a_stream_ends_the_upstreams_work_and_frees_the_slot(other):
    chute = new_chute(concurrency=1)
    forward(chute, "/slow", other.port, name="slow", stream=True)
    with served(chute) as client:
        with client.stream("POST", "/slow") as response:
            begin(response)
            assert gauge(client, "chutes_running") == 1
        wait_until(lambda: other.left == 1)
        wait_until(lambda: gauge(client, "chutes_running") == 0)
        assert 'chutes_cancelled_total{cord="slow"} 1' in client.get("/metrics").text


def test_a_client_that_leaves_before_the_answer_ends_the_upstreams_work(other):
    other.holds = True
    chute = new_chute(concurrency=1)
    forward(chute, "/run", other.port, name="run")
    with served(chute) as client:
        connection = socket.create_connection(("127.0.0.1", port_of(client)))
        # An upload that stops in its middle.
        connection.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        wait_until(lambda: other.received == 3)
        connection.close()
        other.holds = False
        wait_until(lambda: other.left == 1)
        wait_until(lambda: gauge(client, "chutes_running") == 0)


def test_a_client_that_leaves_the_queue_never_reaches_the_upstream(other):
    chute = new_chute(concurrency=1)
    forward(chute, "/slow", other.port, name="slow", stream=True)
    forward(chute, "/run", other.port, name="run")
    with served(chute) as client, client.stream("POST", "/slow") as response:
        begin(response)
        connection = socket.create_connection(("127.0.0.1", port_of(client)))
        connection.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        wait_until(lambda: gauge(client, "chutes_waiting") == 1)
        connection.close()
        wait_until(lambda: gauge(client, "chutes_waiting") == 0)
        assert other.begun == 1


def test_a_stream_goes_on_without_its_client_where_the_cord_says_so():
    released, ended = threading.Event(), threading.Event()

    async def patient(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        while not released.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"b"})
        ended.set()

    with asgi_server(patient) as url:
        chute = new_chute()
        forward(chute, "/run", int(url.rpartition(":")[2]), name="run", stream=True, on_disconnect="finish")
        with served(chute) as client:
            with client.stream("POST", "/run") as response:
                begin(response)
            released.set()
            wait_until(ended.is_set)
            wait_until(
                lambda: 'chutes_requests_total{cord="run",status="200"} 1' in client.get("/metrics").text
            )


def test_an_upload_goes_on_as_it_comes_and_memory_stays_flat(other):
    """The upstream takes nothing: the client is held up long before all of its upload is in memory."""
    other.holds = True
    chute = new_chute(concurrency=1, max_body_size=1 << 30)
    forward(chute, "/run", other.port, name="run")
    size, sent = 1024 * 1024 * 1024, 0
    with served(chute) as client, socket.create_connection(("127.0.0.1", port_of(client))) as connection:
        connection.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < size:
                sent += connection.send(b"x" * 65536)
        # The buffers of four sockets are much smaller than half of it.
        assert sent < size // 2
        other.holds = False
        connection.settimeout(SECONDS)
        goal = sent + 4 * 1024 * 1024
        while sent < goal:
            sent += connection.send(b"x" * 65536)
    wait_until(lambda: other.left == 1)


@pytest.mark.parametrize("way", ["on", "off"])
def test_many_large_uploads_at_a_time_are_no_burden(other, monkeypatch, way):
    """Elsewhere bodies that are read at a time are bounded together: these are kept nowhere."""
    monkeypatch.setenv("CHUTES_FAST_PATH", way)
    chute = new_chute(concurrency=20, max_body_size=1_400_000)
    forward(chute, "/run", other.port, name="run")
    with served(chute) as client, contextlib.ExitStack() as open_ones:
        connections = []
        for _ in range(20):
            connection = open_ones.enter_context(
                socket.create_connection(("127.0.0.1", port_of(client)), SECONDS)
            )
            connection.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: 1400000\r\n\r\n")
            connection.sendall(b"x" * 1_300_000)
            connections.append(connection)
        wait_until(lambda: other.received == 20 * 1_300_000)
        for connection in connections:
            connection.sendall(b"x" * 100_000)
        assert {connection.recv(4096)[:12] for connection in connections} == {b"HTTP/1.1 200"}


def test_a_client_that_reads_slowly_slows_the_upstream():
    part, parts, state = b"x" * 65536, 16384, {"sent": 0}

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(parts):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            state["sent"] += 1

    with asgi_server(endless) as url:
        chute = new_chute(concurrency=1)
        forward(chute, "/run", int(url.rpartition(":")[2]), name="run", stream=True)
        with served(chute) as client, client.stream("POST", "/run") as response:
            received = response.iter_raw()
            before = -1
            while before != state["sent"]:
                before = state["sent"]
                time.sleep(0.3)
            # The buffers of four sockets are much smaller than half of a GiB.
            assert state["sent"] < parts // 2
            while state["sent"] == before:
                next(received)


@pytest.mark.parametrize("written", [b"data: 1\n\n", b"data: 1\n\ndata: ha"])
def test_a_stream_of_events_that_breaks_off_ends_with_an_event(written):
    server, chute = scripted(EVENTS + chunk(written), stream=True)
    with served(chute) as client:
        response = client.post("/run", headers={"X-Request-ID": "r-1"})
    assert response.content.startswith(written)
    name, data = response.text[len(written) :].strip("\n").split("\n")
    assert name == "event: error"
    told = json.loads(data.removeprefix("data: "))
    assert (told["status"], told["request_id"]) == (502, "r-1")
    assert told["error"]["message"] == told["detail"]
    assert "127.0.0.1" not in response.text
    server.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        EVENTS.replace(b"Content-Type", b"Content-Encoding: gzip\r\nContent-Type") + chunk(b"half"),
    ],
)
def test_anything_else_that_breaks_off_is_cut(head):
    server, chute = scripted(head)
    with (
        served(chute) as client,
        client.stream("POST", "/run") as response,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        list(response.iter_raw())
    server.close()


def test_a_deadline_ends_a_call_that_is_not_answered():
    with silent_address() as address:
        chute = new_chute()
        forward(chute, "/run", int(address.rpartition(":")[2]), name="run", timeout=0.2)
        with served(chute) as client:
            response = client.post("/run")
            assert response.status_code == 504
            assert 'chutes_timeouts_total{cord="run"} 1' in client.get("/metrics").text


def test_a_deadline_ends_a_stream_of_events_with_an_event(other):
    chute = new_chute()
    forward(chute, "/slow", other.port, name="slow", stream=True, timeout=2)
    with served(chute) as client:
        text = client.post("/slow").text
    assert text.startswith("data: 1\n\n")
    assert '"status":504' in text
    wait_until(lambda: other.left == 1)


def test_a_client_that_waits_for_permission_gets_it_once_the_upstream_is_there(other):
    chute = new_chute()
    forward(chute, "/run", other.port, name="run")
    with served(chute) as client, socket.create_connection(("127.0.0.1", port_of(client))) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(
            b"POST /run HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    names = {name for name, _ in other.requests[0]["headers"]}
    assert "expect" not in names


def test_a_client_that_waits_for_permission_is_refused_without_it_where_nobody_listens():
    with silent_address() as address:
        port = int(address.rpartition(":")[2])
    chute = new_chute()
    forward(chute, "/run", port, name="run")
    with served(chute) as client, socket.create_connection(("127.0.0.1", port_of(client))) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(
            b"POST /run HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("path", ["..", "a/../../b", "%2e%2e/x", "%2E", "a/%2e%2E"])
def test_a_placeholder_cannot_lead_out_of_the_upstreams_path(other, path):
    chute = new_chute()
    forward(
        chute, "/open/{rest:path}", other.port, name="open", method="GET", passthrough_path="/public/{rest}"
    )
    with served(chute) as client, socket.create_connection(("127.0.0.1", port_of(client))) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(b"GET /open/%s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 404")
    assert not other.requests


def test_every_call_has_a_connection_of_its_own(other):
    """No limit below `concurrency` holds a call up."""
    chute = new_chute(concurrency=80)
    forward(chute, "/slow", other.port, name="slow", stream=True)
    with served(chute) as client, contextlib.ExitStack() as streams:
        address = ("127.0.0.1", port_of(client))
        for _ in range(80):
            connection = streams.enter_context(socket.create_connection(address))
            connection.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        wait_until(lambda: other.begun == 80)
    wait_until(lambda: other.left == 80)


def test_connections_are_closed_with_the_chute(other):
    chute = new_chute()
    forward(chute, "/run", other.port, name="run")
    before = threading.active_count()
    with served(chute) as client:
        assert client.post("/run", headers=answer(200, b"x")).text == "x"
        assert client.post("/run", headers=answer(200, b"x")).text == "x"
    assert threading.active_count() <= before
