"""Traces of what goes on after the first bytes, or for several requests: streams, background tasks, websockets, batches."""

import asyncio
import contextlib
import logging
import threading

import httpx2
import pytest
from fastapi import BackgroundTasks
from opentelemetry.trace import SpanKind, StatusCode

from chutes.chute import Batch
from chutes.serve.logs import current_request_id
from chutes.testing import AsyncTestClient, TestClient, async_wait_until
from support.serving import new_chute
from support.traces import PARENT, TRACE, TRACEPARENT, Spans, current_ids, trace_of, tracing


async def test_the_span_of_a_stream_ends_with_it():
    chute = new_chute()
    go_on = asyncio.Event()
    seen = []

    @chute.cord("/stream", stream=True)
    async def stream(self):
        seen.append(current_ids()["trace"])
        yield "first"
        await go_on.wait()
        seen.append(current_ids()["trace"])
        yield "second"

    spans = Spans(chute)
    async with AsyncTestClient(chute) as client:
        async with client.stream("POST", "/stream", headers=TRACEPARENT) as response:
            chunks = response.aiter_raw()
            await anext(chunks)
            assert spans.ended() == ()
            go_on.set()
            async for _ in chunks:
                pass
        await async_wait_until(spans.ended)
    assert seen == [TRACE, TRACE]
    assert spans.one().attributes["http.response.status_code"] == 200


async def test_a_stream_that_fails_is_an_error_though_its_status_was_200():
    chute = new_chute()

    @chute.cord("/stream", stream=True)
    async def stream(self):
        yield {"n": 1}
        raise RuntimeError("broke")

    with tracing(chute) as (client, spans):
        client.post("/stream")
        span = spans.one()
    assert span.attributes["http.response.status_code"] == 200
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "RuntimeError"
    assert len(span.events) == 1


@pytest.mark.parametrize("events", [True, False])
def test_a_stream_that_is_ended_at_its_deadline_is_an_error(events):
    chute = new_chute()

    @chute.cord("/slow", stream=True, timeout=0.05)
    async def slow(self):
        yield {"n": 1} if events else "a"
        await asyncio.sleep(60)

    with tracing(chute) as (client, spans):
        with contextlib.suppress(httpx2.HTTPError):
            client.post("/slow")
        span = spans.one()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "starlette.exceptions.HTTPException"


async def test_a_client_that_leaves_ends_the_span_of_its_stream():
    chute = new_chute()

    @chute.cord("/endless", stream=True)
    async def endless(self):
        while True:
            yield "a"
            await asyncio.sleep(0.005)

    spans = Spans(chute)
    async with AsyncTestClient(chute) as client:
        async with client.stream("POST", "/endless") as response:
            await anext(response.aiter_raw())
        await async_wait_until(spans.ended)
    assert spans.one().name == "POST /endless"


def test_what_runs_in_the_background_belongs_to_the_span_and_does_not_lengthen_it():
    chute = new_chute()

    @chute.cord("/run")
    async def run(self, background: BackgroundTasks) -> str:
        async def later():
            with spans.tracer.start_as_current_span("later"):
                await asyncio.sleep(0.05)

        background.add_task(later)
        return "ok"

    spans = Spans(chute)
    with TestClient(chute) as client:
        client.post("/run")
        later, request = spans.ended(2)
    assert later.parent.span_id == request.context.span_id
    assert request.end_time < later.end_time


def test_a_websocket_is_one_span():
    chute = new_chute()

    @chute.websocket("/ws/{room}")
    async def talk(self, websocket):
        await websocket.accept()
        await websocket.send_json(current_ids())

    with tracing(chute) as (client, spans):
        with client.websocket_connect("/ws/a", headers=TRACEPARENT) as socket:
            ids = socket.receive_json()
        span = spans.one()
    assert span.name == "WS /ws/{room}"
    assert span.kind is SpanKind.SERVER
    assert ids["trace"] == trace_of(span) == TRACE
    assert span.status.status_code is StatusCode.UNSET


# One call is alone in its batch, and those that come meanwhile are together in the next.


def batching(kind, seen):
    """A chute whose batches wait until `go_on` is set, and set `entered` before."""
    chute = new_chute(concurrency=1)
    entered, go_on = threading.Event(), threading.Event()
    logger = logging.getLogger("model")

    def work(values):
        seen.append(current_ids() | {"values": values})
        logger.warning("a batch of %d", len(values))
        if "bad" in values:
            raise ValueError("secret of the model")
        return [value.upper() for value in values]

    if kind == "async":

        @chute.cord("/run", batch=Batch(max_size=8, max_wait=0.0))
        async def run(self, value: list[str]) -> list[str]:
            entered.set()
            while not go_on.is_set():
                await asyncio.sleep(0.005)
            return work(value)

    else:

        @chute.cord("/run", batch=Batch(max_size=8, max_wait=0.0))
        def run(self, value: list[str]) -> list[str]:
            entered.set()
            go_on.wait(30)
            return work(value)

    return chute, entered, go_on


async def ask(chute, entered, go_on, values):
    """The answers to the values, of which the first makes a batch of its own and the others one together."""
    waiting = chute.app.served.meters.of(chute.cords[0]).waiting
    headers = [
        {"traceparent": f"00-{n + 1:032x}-{PARENT}-01", "x-request-id": f"id-{n}"} for n in range(len(values))
    ]
    async with AsyncTestClient(chute) as client:
        calls = []
        for value, header in zip(values, headers, strict=True):
            calls.append(asyncio.create_task(client.post("/run", json={"value": value}, headers=header)))
            await async_wait_until(lambda: entered.is_set() and waiting() == len(calls) - 1)
        go_on.set()
        return await asyncio.gather(*calls)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_batch_is_one_span_with_links_to_its_requests(kind):
    seen = []
    chute, *events = batching(kind, seen)
    spans = Spans(chute)
    answers = await ask(chute, *events, ["a", "b", "c"])
    assert [answer.json() for answer in answers] == ["A", "B", "C"]
    ended = spans.ended(5)
    requests = {trace_of(span): span for span in ended if span.name == "POST /run"}
    first, second = (span for span in ended if span.name == "batch run")
    assert [len(first.links), len(second.links)] == [1, 2]
    for span in (first, second):
        assert span.parent is None
        assert span.attributes["chutes.cord"] == "run"
        assert span.attributes["chutes.batch.size"] == len(span.links)
    linked = [link.context for span in (first, second) for link in span.links]
    assert [one.span_id for one in linked] == [requests[f"{n + 1:032x}"].context.span_id for n in range(3)]
    # The function runs in the span of its batch, not in that of a request.
    assert [one["trace"] for one in seen] == [trace_of(first), trace_of(second)]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_batch_that_fails_is_an_error_as_are_its_requests(kind):
    chute, *events = batching(kind, [])
    spans = Spans(chute)
    answers = await ask(chute, *events, ["a", "bad", "c"])
    assert [answer.status_code for answer in answers] == [200, 500, 500]
    failed = [span for span in spans.ended(5) if span.status.status_code is StatusCode.ERROR]
    assert sorted(span.name for span in failed) == ["POST /run", "POST /run", "batch run"]
    assert all(span.events[0].attributes["exception.message"] == "secret of the model" for span in failed)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_log_lines_of_a_batch_have_the_ids_of_its_requests(kind):
    chute, *events = batching(kind, [])
    ids = []

    class Noting(logging.Handler):
        def emit(self, record):
            ids.append(current_request_id.get())

    handler = Noting()
    logging.getLogger("model").addHandler(handler)
    try:
        await ask(chute, *events, ["a", "b", "c"])
    finally:
        logging.getLogger("model").removeHandler(handler)
    assert ids == ["id-0", "id-1,id-2"]
