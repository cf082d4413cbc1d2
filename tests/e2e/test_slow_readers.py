"""Clients that read slowly or not at all, and streams that hold nobody else up."""

import http.client
import itertools
import json
import socket
import time

import pytest

NAMES = itertools.count()
LINE = 10
# Far more than the buffers of both kernels hold, and less than the streams below have in all.
BOUND = 12 << 20
TOTAL = 20 << 20
LOOK_SECONDS = 0.3


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/floods.py") as chute:
        yield chute


@pytest.fixture
def name():
    """A name under which this test's stream counts."""
    return f"stream-{next(NAMES)}"


def begin(chute, path, **fields):
    """Sends a call on a connection whose own buffer is small, and reads nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", chute.port, timeout=60)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    connection.sock.settimeout(60)
    connection.sock.connect(("127.0.0.1", chute.port))
    body = json.dumps(fields).encode()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    return connection


def made(chute, name):
    with chute.client() as client:
        return client.get("/made", params={"name": name}).json()


def until_it_is_stuck(chute, name):
    """How many chunks there are once there are no more for a while."""
    counts = [0, 0, 0]
    while not counts[0] or len(set(counts)) > 1:
        time.sleep(LOOK_SECONDS)
        counts = [*counts[1:], made(chute, name)]
    return counts[0]


@pytest.mark.parametrize(
    ("path", "repeat"),
    [("/async", 6500), ("/sync", 6500), ("/response", 6500), ("/async", 50), ("/sync", 50)],
)
def test_a_client_that_reads_nothing_stops_the_generator_and_then_gets_all_of_it(chute, name, path, repeat):
    chunks = TOTAL // (repeat * LINE)
    memory = chute.memory()
    connection = begin(chute, path, name=name, chunks=chunks, repeat=repeat)
    stuck = until_it_is_stuck(chute, name)

    assert stuck * repeat * LINE < BOUND
    assert chute.memory() - memory < BOUND
    answer = connection.getresponse()
    for number in range(chunks):
        assert answer.read(repeat * LINE) == b"%09d\n" % number * repeat
    assert answer.read() == b""
    assert chute.memory() - memory < BOUND
    connection.close()


def test_a_client_that_leaves_without_reading_stops_the_generator(chute, name):
    connection = begin(chute, "/sync", name=name, chunks=10**9, repeat=100)
    stuck = until_it_is_stuck(chute, name)
    connection.close()
    chute.wait_until(lambda: chute.gauge("running") == 0)

    # Of the thousand million.
    assert made(chute, name) <= stuck + 100


def test_plain_generators_that_sleep_hold_nobody_up(chute, name):
    streams = [begin(chute, "/sleeps", name=f"{name}-{n}", seconds=60) for n in range(3)]
    firsts = [stream.getresponse().readline() for stream in streams]
    with chute.client() as client:
        answer = client.post("/quick")

    assert firsts == [b'data: {"n":1}\n'] * 3
    assert (answer.status_code, answer.json()) == (200, "ok")
    assert [made(chute, f"{name}-{n}") for n in range(3)] == [1, 1, 1]
    for stream in streams:
        stream.close()


def test_a_client_that_reads_nothing_outlasts_neither_its_deadline_nor_the_chute(serve, name):
    with serve("apps/floods.py") as chute:
        connection = begin(chute, "/limited", name=name)
        chute.wait_until_it_says("more than its timeout of 1 s")
        chute.wait_until(lambda: chute.gauge("running") == 0)

        assert made(chute, name) == -1
        assert chute.stop() == 0
        assert "graceful shutdown exceeded" not in chute.text
        connection.close()
