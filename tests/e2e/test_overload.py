"""More calls than a chute takes: never more than `concurrency` run, the rest wait in order or hear when to come back."""

import asyncio
import itertools
import json
from contextlib import ExitStack

import pytest
from websockets.sync.client import connect

NAMES = itertools.count()


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/small.py") as chute:
        yield chute


@pytest.fixture
def name():
    return f"call-{next(NAMES)}"


@pytest.fixture
def full(chute, name):
    """Two calls run and three wait; at the end they all go."""
    callers = []
    for n in range(5):
        callers.append(send(chute, "/gate", {"name": f"{name}-{n}"}))
        wanted = n + 1
        chute.wait_until(lambda wanted=wanted: chute.gauge("running") + chute.gauge("waiting") == wanted)
    yield callers
    with chute.client() as client:
        for n in range(5):
            chute.wait_until(lambda n=n: client.post(f"/open/{name}-{n}").status_code == 200)
    for caller in callers:
        caller.recv(65536)
        caller.close()


def send(chute, path, fields):
    """Sends a call on a connection of its own, and does not wait for the answer."""
    connection = chute.connect()
    body = json.dumps(fields).encode()
    connection.sendall(head(path, len(body)) + body)
    return connection


def head(path, length):
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def test_never_more_run_than_there_are_slots(chute):
    async with chute.async_client() as client:

        async def keep_calling(path, worker):
            statuses = []
            for n in range(10):
                answer = await client.post(path, json={"name": f"{worker}-{n}", "seconds": 0.01})
                statuses.append(answer.status_code)
            return statuses

        paths = ["/wait", "/compute", "/stream"] * 4
        results = await asyncio.gather(*(keep_calling(path, n) for n, path in enumerate(paths)))
        statuses = list(itertools.chain.from_iterable(results))
        record = (await client.get("/record")).json()

    assert set(statuses) == {200, 503}
    assert statuses.count(200) == len(record["order"]) > 10
    assert record["most"] == 2
    assert (chute.gauge("running"), chute.gauge("waiting")) == (0, 0)


def test_those_that_wait_have_their_turn_in_order(chute, full, name):
    with chute.client() as client:
        for n in range(3):
            client.post(f"/open/{name}-{n}")
            chute.wait_until(lambda n=n: client.get("/record").json()["order"][-1] == f"{name}-{n + 2}")
        order = client.get("/record").json()["order"][-5:]

    assert order == [f"{name}-{n}" for n in range(5)]


def test_a_call_too_many_is_refused_with_a_time_to_come_back(chute, full):
    with chute.client() as client:
        answer = client.post("/wait", json={"name": "too many"})

    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) < 3600
    assert "busy" in answer.json()["detail"]
    assert answer.headers["x-request-id"]


def test_the_refusal_does_not_wait_for_the_body(chute, full):
    with chute.connect() as connection:
        connection.sendall(head("/wait", 10_000_000) + b'{"name": "')
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer.lower()


def test_a_client_that_expects_100_is_refused_before_it_sends_its_body(chute, full):
    with chute.connect() as connection:
        expects = head("/wait", 10_000_000).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        connection.sendall(expects)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/health", "/metrics", "/docs", "/openapi.json", "/record"]
)
def test_what_is_no_cord_answers_all_the_same(chute, full, path):
    with chute.client() as client:
        assert client.get(path).status_code == 200


def test_the_refusals_are_counted(chute, full):
    with chute.client() as client:
        client.post("/compute", json={"name": "one"})
        text = client.get("/metrics").text

    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith('chutes_refused_total{cord="compute",reason="queue_full"}')
    ]
    assert float(line.split()[1]) >= 1
    assert 'chutes_requests_total{cord="compute",status="503"}' in text


def test_a_slow_upload_holds_no_slot(chute):
    uploads = [chute.connect() for _ in range(4)]
    for upload in uploads:
        upload.sendall(head("/wait", 1000) + b'{"name": "slow')
    with chute.client() as client:
        answers = [client.post("/wait", json={"name": "quick", "seconds": 0}) for _ in range(5)]
    for upload in uploads:
        upload.close()
    chute.wait_until(lambda: (chute.gauge("running"), chute.gauge("waiting")) == (0, 0))

    assert {answer.status_code for answer in answers} == {200}


def test_an_idle_websocket_holds_no_slot_and_a_busy_one_waits_for_its_turn(chute, name):
    url = chute.url.replace("http", "ws") + "/talk"
    with ExitStack() as opened, chute.client() as client:
        talks = [opened.enter_context(connect(url)) for _ in range(6)]
        idle = client.post("/wait", json={"name": name, "seconds": 0})
        for n, talk in enumerate(talks):
            talk.send(f"{name}-{n}")
        heard = [talk.recv(timeout=10) for talk in talks]
        most = client.get("/record").json()["most"]

    assert idle.status_code == 200
    assert heard == [f"{name}-{n}" for n in range(6)]
    assert most <= 2


async def test_the_time_to_come_back_follows_the_measured_rate(serve):
    """Each call takes a fifth of a second and two run at once: those that wait are served in less than a second."""
    with serve("apps/small.py") as chute:
        async with chute.async_client() as client:

            async def call(n):
                return await client.post("/wait", json={"name": str(n), "seconds": 0.2})

            await asyncio.gather(call(0), call(1))
            answers = await asyncio.gather(*(call(n) for n in range(8)))

    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 3
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
