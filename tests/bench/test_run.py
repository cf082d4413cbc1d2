"""Whole runs against real servers."""

import asyncio
import json
import ssl
from dataclasses import replace

import pytest

from chutes import Chute
from chutes.bench.plan import Plan
from chutes.bench.requests import prepare
from chutes.bench.run import measure
from chutes.client import Call, Client
from support.certificate import write_certificate
from support.http_servers import asgi_server, silent_address
from support.remote_chute import remote_chute


def small_chute():
    chute = Chute(username="test", name="loaded", image="python:3.11", concurrency=4)
    chute.seen = []

    @chute.cord("/count")
    async def count(self, number: int = 0) -> int:
        self.seen.append(number)
        await asyncio.sleep(0.005)
        return number

    @chute.cord("/tokens", stream=True)
    async def tokens(self, fail: bool = False):
        for token in ["to", "be", "or"]:
            yield {"token": token}
        if fail:
            raise RuntimeError("out of memory")

    return chute


@pytest.fixture(scope="module")
def served():
    chute = small_chute()
    with asgi_server(chute) as url:
        yield chute, url


def target_of(base, *calls):
    with Client(base, retries=0) as client:
        return prepare(client, base, calls, {})


async def run(target, plan, **options):
    async with asyncio.timeout(60):
        return await measure(plan, target, stop=options.pop("stop", asyncio.Event()), **options)


async def test_every_request_is_answered_and_the_warm_up_does_not_count(served):
    chute, url = served
    chute.seen.clear()
    target = target_of(url, *(Call(target="/count", arguments={"number": number}) for number in (1, 2)))

    found = await run(target, Plan(clients=4, duration=None, requests=40, warmup=6))

    assert (found.requests, found.good, found.failures) == (40, 40, ())
    assert sorted(chute.seen) == [1] * 23 + [2] * 23
    assert found.latency.count == 40
    # A timer of the server's event loop may be a millisecond early.
    assert found.latency.min >= 0.003
    assert 0 < found.per_second <= 4 / 0.003
    assert not found.interrupted


async def test_the_chute_says_what_it_saw(served):
    _, url = served
    found = await run(target_of(url, Call(target="/count")), Plan(clients=8, duration=1.2))

    assert found.server.concurrency == 4
    assert found.server.running is None or 0 <= found.server.running <= 4
    assert found.server.queued_mean > 0


async def test_a_rate_is_kept(served):
    _, url = served
    plan = Plan(clients=50, rate=100.0, arrivals="constant", duration=None, requests=50, warmup=2)
    found = await run(target_of(url, Call(target="/count")), plan)

    assert (found.requests, found.good) == (50, 50)
    assert found.seconds > 0.45


async def test_streams_are_timed_by_their_events(served):
    _, url = served
    found = await run(target_of(url, Call(target="/tokens")), Plan(clients=2, duration=None, requests=10))

    assert (found.good, found.streams.chunks) == (10, 30)
    assert found.streams.first_chunk.p50 <= found.latency.p50


async def test_an_error_in_a_stream_is_a_failure(served):
    _, url = served
    target = target_of(url, Call(target="/tokens", arguments={"fail": True}))
    found = await run(target, Plan(clients=2, duration=None, requests=4))

    assert (found.good, found.failed, found.statuses) == (0, 4, {200: 4})
    assert found.failures[0].what == "error in the stream"


async def test_failures_have_an_example():
    with asgi_server(remote_chute()) as url:
        found = await run(target_of(url, Call(target="/closed")), Plan(clients=2, duration=None, requests=6))

    assert (found.good, found.failed) == (0, 6)
    assert (found.failures[0].what, found.failures[0].count, found.failures[0].example) == (
        "401",
        6,
        "No such key",
    )
    assert found.server is None


async def test_a_chute_that_says_nothing_is_given_up():
    with silent_address() as url:
        call = Call(target="/embed", method="POST")
        plan = Plan(clients=2, duration=None, requests=2, timeout=0.2)
        found = await run(target_of(url, call), plan)

    assert (found.good, found.failed, found.failures[0].what) == (0, 2, "timeout")


async def test_a_run_that_is_stopped_reports_what_it_has(served):
    _, url = served
    stop = asyncio.Event()

    def stop_when_some_are_in(tally, _seconds):
        if tally.answered:
            stop.set()

    found = await run(
        target_of(url, Call(target="/count")),
        Plan(clients=2, duration=50.0),
        stop=stop,
        on_look=stop_when_some_are_in,
    )

    assert found.interrupted
    assert found.good > 0
    assert found.seconds < 40


async def test_a_run_that_is_stopped_before_it_began_reports_nothing(served):
    _, url = served
    stop = asyncio.Event()
    stop.set()
    found = await run(target_of(url, Call(target="/count")), Plan(clients=2, warmup=2), stop=stop)

    assert found.interrupted
    assert found.good == 0


async def test_tls(tmp_path):
    path = write_certificate(tmp_path)
    ours, theirs = ssl.create_default_context(cafile=path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(path)

    async def talk(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=theirs)
    base = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    target = target_of(base, Call(target="/a", method="GET"))
    try:
        trusted = replace(target, endpoint=replace(target.endpoint, tls=ours))
        found = await run(trusted, Plan(clients=2, duration=None, requests=20))
        untrusted = await run(target, Plan(clients=1, duration=None, requests=1))
    finally:
        listener.close()

    assert (found.good, found.failures) == (20, ())
    assert untrusted.failures[0].what == "no connection"
    assert "certificate" in untrusted.failures[0].example.lower()


def test_a_report_is_plain_data(served):
    from dataclasses import asdict

    _, url = served
    found = asyncio.run(
        run(target_of(url, Call(target="/count")), Plan(clients=1, duration=None, requests=3))
    )
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["latency"]["count"] == 3
