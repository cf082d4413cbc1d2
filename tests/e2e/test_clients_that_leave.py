"""Clients that close their connection early: the work that was for them stops, and nobody else notices."""

import asyncio
import itertools
import json
import random
import socket
import struct
import time
from contextlib import suppress

import pytest

NAMES = itertools.count()
NO_LINGER = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/watched.py") as chute:
        yield chute


@pytest.fixture
def name():
    """A name under which this test's call is noted."""
    return f"call-{next(NAMES)}"


class Caller:
    """A client on a bare socket, which leaves when it is told to."""

    def __init__(self, chute, path, name, **fields):
        body = json.dumps({"name": name, **fields}).encode()
        self.chute = chute
        self.name = name
        self.socket = chute.connect()
        self.socket.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    def read(self, what):
        """Reads on until `what` came."""
        received = b""
        while what not in received:
            chunk = self.socket.recv(65536)
            assert chunk, received
            received += chunk
        return received

    def leave(self, how="close"):
        """Goes."""
        close(self.socket, how)

    def notes(self):
        return notes(self.chute, self.name)


def close(connection, how):
    """Closes a connection in order, or as a client that crashes."""
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    connection.close()


def notes(chute, name):
    """What the chute noted of a call: texts and moments; both processes have one clock."""
    with chute.client() as client:
        return [tuple(entry) for entry in client.get("/diary", params={"name": name}).json()]


def texts(chute, name):
    return [what for what, _ in notes(chute, name)]


def wait_until_all_is_quiet(chute):
    chute.wait_until(lambda: (chute.gauge("running"), chute.gauge("waiting")) == (0, 0))


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("path", ["/events", "/text", "/response", "/threaded", "/flood"])
def test_a_stream_is_closed_when_its_client_leaves(chute, name, path, how):
    caller = Caller(chute, path, name)
    # The head comes first, then at least two chunks.
    caller.read(b"\r\n\r\n")
    caller.socket.recv(1)
    caller.leave(how)
    chute.wait_until(lambda: "closed" in texts(chute, name))

    noted = notes(chute, name)
    assert [what for what, _ in noted].count("closed") == 1
    assert noted[-1][0] == "closed"
    # All of the stream would be more, and take half a minute.
    assert len(noted) < 1000
    wait_until_all_is_quiet(chute)


def test_a_stream_may_take_its_time_to_clean_up(chute, name):
    caller = Caller(chute, "/tidy", name)
    caller.read(b"data: ")
    caller.leave()
    chute.wait_until(lambda: "closed" in texts(chute, name))

    assert texts(chute, name)[-2:] == ["step", "closed"]
    wait_until_all_is_quiet(chute)


def test_a_stream_that_swallows_its_cancellation_ends_with_its_next_item(chute, name):
    caller = Caller(chute, "/deaf", name)
    caller.read(b"data: ")
    caller.leave()
    chute.wait_until(lambda: "closed" in texts(chute, name))

    after = itertools.dropwhile(lambda what: what != "swallowed", texts(chute, name))
    assert list(after) in (["swallowed", "step", "closed"], [])
    wait_until_all_is_quiet(chute)


def test_a_client_that_only_stops_sending_counts_as_one_that_left(chute, name):
    caller = Caller(chute, "/events", name)
    caller.read(b"data: ")
    caller.socket.shutdown(socket.SHUT_WR)
    chute.wait_until(lambda: "closed" in texts(chute, name))
    caller.leave()
    wait_until_all_is_quiet(chute)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_what_a_client_sent_behind_its_stream_is_not_begun_once_it_left(chute, name, how):
    caller = Caller(chute, "/events", name)
    body = json.dumps({"name": f"{name}-next", "seconds": 0}).encode()
    head = "POST /finishes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    caller.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    caller.read(b"data: ")
    caller.leave(how)
    chute.wait_until(lambda: "closed" in texts(chute, name))
    wait_until_all_is_quiet(chute)

    assert texts(chute, f"{name}-next") == []


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_may_leave_between_two_requests_and_within_a_head(chute, name, how):
    caller = Caller(chute, "/finishes", name, seconds=0)
    caller.read(b'"call')
    caller.leave(how)
    connection = chute.connect()
    connection.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-")
    close(connection, how)
    wait_until_all_is_quiet(chute)

    assert texts(chute, name) == ["begun", "finished"]


def test_an_old_client_that_leaves_closes_its_stream_too(chute, name):
    body = json.dumps({"name": name}).encode()
    connection = chute.connect()
    head = f"POST /text HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    received = b""
    while b"2\n" not in received:
        received += connection.recv(65536)
    connection.close()
    chute.wait_until(lambda: "closed" in texts(chute, name))

    # HTTP/1.0 knows no chunks: the stream is what comes until the connection ends.
    assert received.partition(b"\r\n\r\n")[2].startswith(b"0\n1\n2\n")
    wait_until_all_is_quiet(chute)


def test_a_stream_that_is_nobodys_to_cancel_runs_to_its_end(chute, name):
    caller = Caller(chute, "/kept", name)
    caller.read(b"0\n")
    caller.leave()
    chute.wait_until(lambda: "finished" in texts(chute, name))

    assert texts(chute, name) == ["step"] * 20 + ["finished"]
    wait_until_all_is_quiet(chute)


def test_a_stream_without_a_first_chunk_is_closed_too(chute, name):
    caller = Caller(chute, "/stillborn", name)
    chute.wait_until(lambda: chute.gauge("running") == 1)
    caller.leave()
    chute.wait_until(lambda: texts(chute, name) == ["closed"])
    wait_until_all_is_quiet(chute)


def test_a_call_that_may_be_cancelled_is(chute, name):
    caller = Caller(chute, "/stops", name)
    chute.wait_until(lambda: texts(chute, name) == ["begun"])
    caller.leave()
    chute.wait_until(lambda: len(texts(chute, name)) == 2)

    assert texts(chute, name) == ["begun", "cancelled"]
    wait_until_all_is_quiet(chute)


@pytest.mark.parametrize("path", ["/finishes", "/in-thread"])
def test_other_calls_finish_though_nobody_waits(chute, name, path):
    caller = Caller(chute, path, name)
    chute.wait_until(lambda: "begun" in texts(chute, name))
    caller.leave()
    chute.wait_until(lambda: len(texts(chute, name)) == 2)

    assert texts(chute, name) == ["begun", "finished"]
    wait_until_all_is_quiet(chute)


def test_a_call_that_cleans_up_keeps_its_slot_until_it_is_done(chute, name):
    callers = [Caller(chute, "/stubborn", name) for _ in range(2)]
    chute.wait_until(lambda: chute.gauge("running") == 2)
    for caller in callers:
        caller.leave()
    with chute.client() as client:
        answer = client.post("/finishes", json={"name": f"{name}-next", "seconds": 0})
    cleaned = min(moment for what, moment in notes(chute, name) if what == "cleaned up")

    assert answer.status_code == 200
    assert notes(chute, f"{name}-next")[0][1] >= cleaned
    wait_until_all_is_quiet(chute)


def test_a_call_that_waits_for_its_turn_is_dropped(chute, name):
    busy = [Caller(chute, "/stops", f"{name}-busy") for _ in range(2)]
    chute.wait_until(lambda: chute.gauge("running") == 2)
    waiting = [Caller(chute, "/finishes", f"{name}-{n}", seconds=0) for n in range(3)]
    chute.wait_until(lambda: chute.gauge("waiting") == 3)
    waiting[1].leave()
    chute.wait_until(lambda: chute.gauge("waiting") == 2)
    for caller in busy:
        caller.leave()
    answers = [caller.read(b'"call') for caller in (waiting[0], waiting[2])]

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert texts(chute, f"{name}-1") == []
    assert [texts(chute, f"{name}-{n}") for n in (0, 2)] == [["begun", "finished"]] * 2
    for caller in (waiting[0], waiting[2]):
        caller.leave()
    wait_until_all_is_quiet(chute)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_in_the_middle_of_its_body_starts_nothing(chute, name, how):
    begun = b'{"name": "' + name.encode()
    for sent in (b"", begun, begun + b'", "text": "' + b"x" * 9000):
        connection = chute.connect()
        connection.sendall(
            b"POST /wants-all HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10000\r\n\r\n" + sent
        )
        time.sleep(0.05)
        close(connection, how)
    wait_until_all_is_quiet(chute)

    assert texts(chute, name) == []


def test_a_stream_that_never_waits_leaves_others_their_turn(chute, name):
    greedy = Caller(chute, "/greedy", name)
    chute.wait_until(lambda: texts(chute, name))
    with chute.client() as client:
        assert client.get("/livez").status_code == 200
    greedy.leave()
    wait_until_all_is_quiet(chute)

    # All of it takes half a minute.
    assert 0 < len(texts(chute, name)) < 600


def test_a_client_that_takes_nothing_holds_up_only_its_own_stream(chute, name):
    slow = Caller(chute, "/flood", name)
    chute.wait_until(lambda: len(texts(chute, name)) > 2)
    with chute.client() as client:
        answer = client.post("/finishes", json={"name": f"{name}-other", "seconds": 0})
    time.sleep(0.5)

    assert answer.status_code == 200
    # Back-pressure: the generator waits for the client, and its chunks are not piled up.
    assert len(texts(chute, name)) < 1000
    slow.leave()
    chute.wait_until(lambda: "closed" in texts(chute, name))
    wait_until_all_is_quiet(chute)


@pytest.mark.slow
async def test_thousands_of_hasty_clients_leave_nothing_behind(chute):
    """Each calls something and goes at some moment: before its request is whole, in the queue, in mid-stream, …"""
    paths = [
        "/events",
        "/text",
        "/response",
        "/threaded",
        "/stillborn",
        "/in-thread",
        "/wants-all",
        "/flood",
        "/stops",
    ]
    rng = random.Random(7)
    left = iter(range(3_000))

    async def call():
        body = json.dumps({"name": "hasty", "seconds": 0.05, "text": "x" * 3_000}).encode()
        head = f"POST {rng.choice(paths)} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        reader, writer = await asyncio.open_connection("127.0.0.1", chute.port)
        writer.write(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(rng.random() * rng.choice([0.01, 0.3])):
                await reader.read(rng.choice([1, 100_000]))
        if rng.random() < 0.5:
            writer.transport.abort()
        writer.close()

    async def keep_calling():
        for _ in left:
            await call()

    await asyncio.gather(*(keep_calling() for _ in range(30)))
    wait_until_all_is_quiet(chute)


def test_nothing_of_this_is_an_error_of_the_chute(chute):
    wait_until_all_is_quiet(chute)
    with chute.client() as client:
        assert client.get("/health").json()["status"] == "healthy"

    assert not [line for line in chute.lines if line["level"] in {"warning", "error", "critical"}]
    assert "Traceback" not in chute.text


async def test_one_that_leaves_a_hand_made_batch_harms_nobody(serve):
    with serve("patterns/batches_by_hand.py") as chute:
        async with chute.async_client() as client:
            for turn in range(3):
                calls = [
                    asyncio.create_task(client.post("/ask", json={"text": f"{turn}-{n}"})) for n in range(10)
                ]
                await asyncio.sleep(0.02)
                leavers = [Caller(chute, "/ask", "", text=f"leaver-{turn}-{n}") for n in range(4)]
                await asyncio.sleep(0.01)
                for how, leaver in zip(["close", "reset"] * 2, leavers, strict=True):
                    leaver.leave(how)
                answers = [answer.json() for answer in await asyncio.gather(*calls)]
                assert answers == [{"answer": f"echo: {turn}-{n}"} for n in range(10)]
            wait_until_all_is_quiet(chute)
            health = await client.get("/health")

    # The batcher is a background task: it would show here had a cancelled promise ended it.
    assert (health.status_code, health.json()["status"]) == (200, "healthy")
    assert "Traceback" not in chute.text
