"""When a call is sent again, and how long the client waits for it."""

import asyncio
import contextlib
import time
from email.utils import formatdate

import httpx2
import pytest

from chutes.client import AsyncClient, Client, FakeClock
from chutes.client.retry import RetryPolicy, may_repeat, retry_after
from chutes.errors import CallError, CallFailed, CallRefused, CallRejected, ConnectionFailed
from support.http_servers import ScriptedServer, http_answer

JSON = "application/json"
OK = http_answer(200, b"true", Content_Type=JSON)
CUT = http_answer(200, b"true", Content_Type=JSON, Content_Length="40")
RESET = ScriptedServer.RESET


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def chute(url, clock):
    with Client(url, clock=clock) as client:
        yield client


def test_a_refused_call_waits_as_long_as_it_is_asked(chute, clock):
    assert chute.call("/busy?times=2&after=1.5") == {"attempts": 3}
    assert clock.sleeps == [1.5, 1.5]


def test_a_refused_call_waits_until_the_date_it_is_told(chute, clock):
    date = formatdate(clock.now + 7, usegmt=True)
    assert chute.call("/busy", method="GET", after=date) == {"attempts": 2}
    assert clock.sleeps == [7.0]


def test_without_a_retry_after_the_waits_are_random_below_a_doubling_bound(chute, clock):
    assert chute.call("/busy?times=3&after=", method="GET") == {"attempts": 4}
    assert len(clock.sleeps) == 3
    assert all(0 <= wait <= bound for wait, bound in zip(clock.sleeps, (0.25, 0.5, 1.0), strict=True))


def test_every_attempt_of_a_call_has_one_request_id(chute, remote):
    chute.call("/busy?times=3&after=0")
    assert len(remote.state.seen) == 4
    assert len(set(remote.state.seen)) == 1
    assert len(remote.state.seen[0]) == 32


def test_after_the_last_attempt_the_refusal_is_raised(chute, clock):
    with pytest.raises(CallRefused, match=r"503: All slots are taken\. The chute asks to wait 2 s") as caught:
        chute.call("/busy?times=9")
    assert clock.sleeps == [2.0, 2.0, 2.0]
    assert (caught.value.status, caught.value.detail, caught.value.retry_after) == (
        503,
        "All slots are taken",
        2,
    )


def test_no_wait_goes_past_the_limit(url, clock):
    with Client(url, clock=clock, max_wait=5, retries=99) as chute, pytest.raises(CallRefused):
        chute.call("/busy?times=99")
    assert clock.sleeps == [2.0, 2.0]


def test_a_wait_longer_than_the_limit_is_not_begun(chute, clock):
    with pytest.raises(CallRefused) as caught:
        chute.call("/busy?after=61")
    assert clock.sleeps == []
    assert caught.value.retry_after == 61


def test_without_retries_the_first_refusal_counts(url, clock):
    with Client(url, clock=clock, retries=0) as chute, pytest.raises(CallRefused):
        chute.call("/busy")
    assert clock.sleeps == []


def test_an_upload_is_sent_whole_on_each_attempt(scripted, clock, tmp_path):
    refusal = http_answer(503, Retry_After="1")
    server = scripted(refusal, refusal, OK)
    cat = tmp_path / "cat.png"
    cat.write_bytes(b"all of the cat")
    with Client(server.url, clock=clock) as chute:
        assert chute.call("/caption", image=cat, lang="en") is True
    assert [request.count(b"all of the cat") for request in server.requests] == [1, 1, 1]


@pytest.mark.parametrize(("status", "error"), [(500, CallFailed), (502, CallFailed), (404, CallRejected)])
def test_other_errors_are_never_sent_again(scripted, clock, status, error):
    server = scripted(http_answer(status), OK)
    with Client(server.url, clock=clock) as chute, pytest.raises(error):
        chute.call("/x", method="GET")
    assert len(server.requests) == 1
    assert clock.sleeps == []


def test_a_port_that_nobody_listens_on_is_tried_again_and_then_explained(clock, unused_url):
    with Client(unused_url, clock=clock) as chute, pytest.raises(ConnectionFailed) as caught:
        chute.call("/embed", text="x")
    assert len(clock.sleeps) == 3
    assert str(caught.value).startswith(f"No connection to {unused_url} (")
    assert "Is the chute running, and is the URL right?" in str(caught.value)
    assert caught.value.status is None


@pytest.mark.parametrize("script", [None, RESET, CUT])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_broken_connection_is_tried_again_where_twice_is_as_good_as_once(scripted, clock, script, method):
    server = scripted(script, OK)
    with Client(server.url, clock=clock) as chute:
        assert chute.call("/x", method=method) is True
    assert len(server.requests) == 2


@pytest.mark.parametrize("script", [None, RESET, CUT])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_broken_connection_is_not_tried_again_where_twice_may_be_once_too_often(
    scripted, clock, script, method
):
    server = scripted(script, OK)
    with (
        Client(server.url, clock=clock) as chute,
        pytest.raises(ConnectionFailed, match="may have been carried out"),
    ):
        chute.call("/x", method=method)
    assert len(server.requests) == 1
    assert clock.sleeps == []


def test_a_slow_answer_is_not_asked_for_twice(clock, silent_url):
    expected = pytest.raises(
        ConnectionFailed, match=r"nothing came for 0\.05 s\. Give the client a longer timeout"
    )
    with Client(silent_url, clock=clock, timeout=0.05) as chute, expected:
        chute.call("/x", method="GET")
    assert clock.sleeps == []


def test_a_stream_that_is_refused_is_opened_again(chute, clock):
    assert list(chute.stream("/busy?times=2")) == [{"attempts": 3}]
    assert clock.sleeps == [2.0, 2.0]


def test_the_document_is_asked_for_again_too(scripted, clock):
    server = scripted(
        http_answer(429, Retry_After="4"), http_answer(200, b'{"paths": {}}', Content_Type=JSON)
    )
    with Client(server.url, clock=clock) as chute:
        assert chute.schema() == {"paths": {}}
    assert clock.sleeps == [4.0]


def test_by_the_machines_clock_the_wait_is_real(url):
    start = time.monotonic()
    with Client(url) as chute:
        assert chute.call("/busy?after=0.05") == {"attempts": 2}
    assert time.monotonic() - start >= 0.05


async def test_the_async_client_waits_without_holding_up_others(url, remote):
    async with AsyncClient(url) as chute:
        waiting = asyncio.create_task(chute.call("/busy?after=0.3"))
        for _ in range(3):
            await chute.call("/embed", text="x")
        assert not waiting.done()
        assert await waiting == {"attempts": 2}


def test_probes_are_asked_once(scripted, clock):
    server = scripted(http_answer(503, b'{"status": "starting"}', Content_Type=JSON))
    with Client(server.url, clock=clock) as chute:
        assert chute.ready() is False
        assert chute.health() == {"status": "starting"}
    assert clock.sleeps == []


def test_a_chute_out_of_reach_is_not_ready(clock, unused_url):
    with Client(unused_url, clock=clock) as chute:
        assert chute.ready() is False
        with pytest.raises(ConnectionFailed):
            chute.health()
    assert clock.sleeps == []


async def test_the_async_client_waits_likewise(url, remote, clock):
    async with AsyncClient(url, clock=clock) as chute:
        assert await chute.call("/busy?times=2") == {"attempts": 3}
    assert clock.sleeps == [2.0, 2.0]
    assert len(set(remote.state.seen)) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        ("0", 0),
        ("1.5", 1.5),
        (" 2 ", 2),
        *((text, None) for text in ("-1", "nan", "inf", "soon", "")),
        (formatdate(990, usegmt=True), 0),
        (formatdate(1060, usegmt=True), 60),
    ],
)
def test_what_a_retry_after_means(text, seconds):
    assert retry_after(httpx2.Headers({"Retry-After": text}), now=1000) == seconds


def test_a_missing_retry_after_means_nothing():
    assert retry_after(httpx2.Headers(), now=1000) is None


def test_random_waits_stay_below_their_cap():
    policy = RetryPolicy(retries=1000, max_wait=1e9)
    waits = [policy.delay(attempt=attempt, elapsed=0, asked=None) for attempt in range(200)]
    assert 4 < max(waits) <= 8
    assert len(set(waits)) > 150


@pytest.mark.parametrize(
    ("failure", "repeatable", "any_other"),
    [
        (httpx2.ConnectError("x"), True, True),
        (httpx2.ConnectTimeout("x"), True, True),
        (httpx2.ReadError("x"), True, False),
        (httpx2.RemoteProtocolError("x"), True, False),
        (httpx2.WriteError("x"), True, False),
        (httpx2.ReadTimeout("x"), False, False),
        (httpx2.LocalProtocolError("x"), False, False),
        (httpx2.DecodingError("x"), False, False),
    ],
)
def test_which_failures_may_be_repeated(failure, repeatable, any_other):
    assert may_repeat(failure, repeatable=True) == repeatable
    assert may_repeat(failure, repeatable=False) == any_other


# How a server ends a call, and how often each kind of call is sent to it: three retries, where they do no harm.
FATES = {
    "closed unanswered": (None, 1),
    "reset": (RESET, 1),
    "cut in mid-answer": (CUT, 1),
    "refused by a proxy": (http_answer(503), 1),
    "failed": (http_answer(500), 1),
    "refused by a gateway that lost it": (http_answer(502, Retry_After="0"), 1),
    "refused": (http_answer(503, Retry_After="0"), 4),
    "too many": (http_answer(429), 4),
}
BROKEN = {"closed unanswered", "reset", "cut in mid-answer", "refused by a proxy"}


async def call(kind, url, *, method="POST", headers=(), **options):
    """One call by the sync or the async client."""
    if kind == "sync":
        with Client(url, **options) as chute:
            return await asyncio.to_thread(chute.call, "/x", method=method, headers=dict(headers), text="x")
    async with AsyncClient(url, **options) as chute:
        return await chute.call("/x", method=method, headers=dict(headers), text="x")


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize(
    ("method", "headers"),
    [("POST", {}), ("PATCH", {}), ("POST", {"Idempotency-Key": "order-7"}), ("PUT", {})],
    ids=["POST", "PATCH", "POST with a key", "PUT"],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_no_work_is_begun_twice_and_none_that_was_not_begun_is_lost(
    scripted, clock, kind, method, headers, fate
):
    script, times = FATES[fate]
    server = scripted(script)
    with pytest.raises(CallError):
        await call(kind, server.url, method=method, headers=headers, clock=clock)
    may_be_twice = headers or method == "PUT"
    assert len(server.requests) == (4 if may_be_twice and fate in BROKEN else times)


class Breaking(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A connection that breaks in a step of each request but the last, as the one on the network tells of it."""

    def __init__(self, step, times):
        self.step = step
        self.times = times
        self.attempts = 0

    def handle_request(self, request):
        request.extensions["trace"](f"http11.{self.step}.failed", {})
        return self._outcome(request)

    async def handle_async_request(self, request):
        await request.extensions["trace"](f"http11.{self.step}.failed", {})
        return self._outcome(request)

    def _outcome(self, request):
        self.attempts += 1
        if self.attempts <= self.times:
            raise httpx2.ReadError("Connection reset by peer", request=request)
        return httpx2.Response(200, json=self.attempts, request=request)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("step", "attempts"), [("send_request_headers", 2), ("send_request_body", 1)])
async def test_a_connection_that_breaks_before_the_head_is_written_has_begun_nothing(
    clock, kind, step, attempts
):
    transport = Breaking(step, times=1)
    expected = pytest.raises(ConnectionFailed) if attempts == 1 else contextlib.nullcontext()
    with expected:
        assert await call(kind, "http://chute", clock=clock, transport=transport) == attempts
    assert transport.attempts == attempts


def test_a_submission_with_a_key_is_sent_again_where_its_answer_was_lost(scripted, clock):
    run = http_answer(202, b'{"id": "r-1", "job": "report"}', Content_Type=JSON)
    server = scripted(RESET, run)
    with Client(server.url, clock=clock) as chute:
        assert chute.jobs.submit("report", key="june", title="Bees").id == "r-1"
    assert len(server.requests) == 2
