"""Traces: one span for each request, with its parent, its route and what came of it."""

import asyncio
import json
import logging
import threading

import pytest
from fastapi import FastAPI
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from chutes.chute import Chute
from chutes.serve.logs import HumanFormatter, JsonFormatter
from chutes.testing import AsyncTestClient, TestClient
from serve.fast_path.asgi import JSON, Call, drive
from serve.fast_path.stacks import CALLS, GOOD, cords
from serve.fast_path.twins import twins
from support.serving import new_chute
from support.traces import PARENT, TRACE, TRACEPARENT, Spans, current_ids, trace_of, tracing


@pytest.fixture
def chute():
    chute = new_chute(concurrency=4)

    @chute.cord("/here")
    async def here(self, value: int = 0) -> dict:
        return current_ids()

    @chute.cord("/sync")
    def in_thread(self) -> dict:
        assert threading.current_thread() is not threading.main_thread()
        return current_ids()

    @chute.cord("/fail")
    async def fail(self, kind: str = "plain") -> str:
        if kind == "http":
            raise HTTPException(502, "the backend is away")
        if kind == "client":
            raise HTTPException(409, "not now")
        raise ValueError("secret of the model")

    return chute


def test_a_request_is_one_span_with_its_route_its_status_its_id_and_its_cord(chute):
    with tracing(chute) as (client, spans):
        answer = client.post("/here", json={"value": 1}, headers={"x-request-id": "abc"})
        span = spans.one()
    assert span.name == "POST /here"
    assert span.kind is SpanKind.SERVER
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET
    told = dict(span.attributes)
    assert told["http.request.method"] == "POST"
    assert told["http.route"] == told["url.path"] == "/here"
    assert told["http.response.status_code"] == 200
    assert told["chutes.request_id"] == "abc"
    assert told["chutes.cord"] == "here"
    assert told["url.scheme"] == "http"
    assert {"server.address", "network.protocol.version"} <= set(told)
    assert answer.json() == {"trace": trace_of(span), "span": format(span.context.span_id, "016x")}


def test_the_span_that_the_request_names_is_the_parent(chute):
    with tracing(chute) as (client, spans):
        ids = client.post("/here", json={}, headers=TRACEPARENT).json()
        span = spans.one()
    assert ids["trace"] == trace_of(span) == TRACE
    assert format(span.parent.span_id, "016x") == PARENT


@pytest.mark.parametrize("header", ["nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", ""])
def test_a_parent_that_is_none_begins_a_new_trace(chute, header):
    with tracing(chute) as (client, spans):
        assert client.post("/here", json={}, headers={"traceparent": header}).status_code == 200
        assert spans.one().parent is None


def test_a_trace_that_is_not_sampled_is_passed_on_and_not_kept(chute):
    with tracing(chute) as (client, spans):
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        assert client.post("/here", json={}, headers=headers).json()["trace"] == TRACE
        assert spans.ended() == ()


def test_a_thread_of_a_cord_has_the_span_of_its_request(chute):
    with tracing(chute) as (client, spans):
        ids = client.post("/sync", headers=TRACEPARENT).json()
        assert ids == {"trace": TRACE, "span": format(spans.one().context.span_id, "016x")}


def test_what_the_function_does_is_beneath_its_request_and_goes_out_with_it():
    chute = new_chute()

    @chute.cord("/run")
    async def run(self) -> dict:
        with spans.tracer.start_as_current_span("tokenize"):
            sent = {}
            propagate.inject(sent)
            return sent

    spans = Spans(chute)
    with TestClient(chute) as client:
        sent = client.post("/run", headers=TRACEPARENT).json()
    inner, outer = spans.ended(2)
    assert (inner.name, outer.name) == ("tokenize", "POST /run")
    assert inner.parent.span_id == outer.context.span_id
    assert sent["traceparent"] == f"00-{TRACE}-{inner.context.span_id:016x}-01"


def test_requests_that_run_at_once_keep_their_spans_apart():
    chute = new_chute(concurrency=8)

    @chute.cord("/run")
    async def run(self, n: int) -> dict:
        await asyncio.sleep(0.001 * (n % 3))
        return current_ids()

    async def many():
        spans = Spans(chute)
        async with AsyncTestClient(chute) as client:
            wanted = [f"{n + 1:032x}" for n in range(30)]
            answers = await asyncio.gather(
                *(
                    client.post("/run", json={"n": n}, headers={"traceparent": f"00-{wanted[n]}-{PARENT}-01"})
                    for n in range(30)
                )
            )
        assert [answer.json()["trace"] for answer in answers] == wanted
        assert sorted(trace_of(span) for span in spans.ended(30)) == wanted

    asyncio.run(many())


def test_a_placeholder_stands_in_the_route_and_not_its_value(chute):
    @chute.cord("/items/{name}", method="GET")
    async def item(self, name: str) -> str:
        return name

    with tracing(chute) as (client, spans):
        client.get("/items/secret?token=only-here")
        span = spans.one()
    assert span.name == "GET /items/{name}"
    assert dict(span.attributes)["http.route"] == "/items/{name}"
    assert "only-here" not in str(dict(span.attributes))


def test_what_is_no_cord_has_spans_too(chute):
    chute.app.get("/own/{x}")(lambda x: x)
    with tracing(chute) as (client, spans):
        client.get("/own/1")
        client.get("/nowhere")
        own, nowhere = spans.ended(2)
    assert (own.name, nowhere.name) == ("GET /own/{x}", "GET")
    assert "chutes.cord" not in own.attributes
    assert nowhere.attributes["http.response.status_code"] == 404
    assert "http.route" not in nowhere.attributes


def test_an_application_mounted_inside_makes_no_second_span(chute):
    inner = FastAPI()
    inner.get("/leaf")(lambda: "leaf")
    chute.app.mount("/inner", inner)
    with tracing(chute) as (client, spans):
        client.get("/inner/leaf")
        assert spans.one().name == "GET /inner/leaf"


def test_probes_and_metrics_make_no_spans(chute):
    with tracing(chute) as (client, spans):
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert client.get(path).status_code == 200
        assert spans.ended() == ()


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("chute.test:8080", {"server.address": "chute.test", "server.port": 8080}),
        ("[::1]", {"server.address": "::1"}),
        ("a:b", {}),
        ("[::1", {}),
    ],
)
def test_the_host_that_was_asked_for_is_told_where_it_is_one(chute, host, told):
    with tracing(chute) as (client, spans):
        assert client.post("/here", json={}, headers={"host": host}).status_code == 200
        span = spans.one()
    assert {name: value for name, value in span.attributes.items() if name.startswith("server.")} == told


def test_a_made_up_verb_is_shown_as_another(chute):
    with tracing(chute) as (client, spans):
        client.request("BREW", "/here")
        span = spans.one()
    assert span.name.startswith("HTTP")
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


async def test_behind_a_prefix_the_route_has_it(chute):
    spans = Spans(chute)
    async with AsyncTestClient(chute):
        answer = await drive(
            chute, Call(path="/api/here", root_path="/api", headers=(JSON,), chunks=(b"{}",))
        )
        assert answer.status == 200
        mounted = await drive(
            Starlette(routes=[Mount("/inner", chute)]),
            Call(path="/inner/here", headers=(JSON,), chunks=(b"{}",)),
        )
        assert mounted.status == 200
    assert [span.name for span in spans.ended(2)] == ["POST /api/here", "POST /inner/here"]


def test_an_exception_is_in_the_span_and_not_in_the_answer(chute):
    with tracing(chute) as (client, spans):
        answer = client.post("/fail", json={})
        span = spans.one()
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ValueError"
    (event,) = span.events
    assert event.attributes["exception.message"] == "secret of the model"
    assert "in fail" in event.attributes["exception.stacktrace"]


def test_an_answer_of_5xx_is_an_error_and_one_of_4xx_is_not(chute):
    with tracing(chute) as (client, spans):
        client.post("/fail", json={"kind": "http"})
        client.post("/fail", json={"kind": "client"})
        client.post("/here", json={"value": "x"})
        bad, conflict, invalid = spans.ended(3)
    assert (bad.status.status_code, bad.attributes["error.type"]) == (StatusCode.ERROR, "502")
    assert conflict.status.status_code is invalid.status.status_code is StatusCode.UNSET
    assert invalid.attributes["http.response.status_code"] == 422
    assert not bad.events


def test_a_call_without_a_key_has_a_span(monkeypatch):
    monkeypatch.setenv("CHUTES_API_KEYS", "k" * 20)
    chute = new_chute()
    chute.cord("/run")(lambda self: 1)
    with tracing(chute) as (client, spans):
        client.post("/run")
        span = spans.one()
    assert span.attributes["http.response.status_code"] == 401
    assert span.status.status_code is StatusCode.UNSET


async def test_a_refused_call_has_a_span_with_its_cord():
    chute = new_chute(concurrency=1, max_queue=0)
    entered, let_go = asyncio.Event(), asyncio.Event()

    @chute.cord("/wait")
    async def wait(self):
        entered.set()
        await let_go.wait()

    spans = Spans(chute)
    async with AsyncTestClient(chute) as client:
        first = asyncio.create_task(client.post("/wait"))
        await entered.wait()
        assert (await client.post("/wait")).status_code == 503
        (refused,) = spans.ended(1)
        let_go.set()
        await first
    assert refused.attributes["http.response.status_code"] == 503
    assert refused.attributes["chutes.cord"] == "wait"


@pytest.mark.skipif(not hasattr(FastAPI(), "_native_telemetry"), reason="this FastAPI reports nothing itself")
def test_where_fastapis_own_telemetry_makes_the_span_it_has_the_cord_and_the_id_too():
    spans = Spans(new_chute())
    chute = new_chute(telemetry={"tracer_provider": spans.provider, "operation_spans": False})

    @chute.cord("/run")
    async def run(self, value: int = 0) -> dict:
        if value < 0:
            raise ValueError("secret of the model")
        return current_ids()

    with TestClient(chute) as client:
        ids = client.post("/run", json={}, headers={**TRACEPARENT, "x-request-id": "abc"}).json()
        client.post("/run", json={"value": -1})
        good, bad = spans.ended(2)
    assert ids["trace"] == trace_of(good) == TRACE
    assert good.name == "POST /run"
    assert (good.attributes["chutes.cord"], good.attributes["chutes.request_id"]) == ("run", "abc")
    assert bad.status.status_code is StatusCode.ERROR


async def test_both_ways_answer_as_they_do_without_traces_and_make_the_same_spans():
    seen = {}

    def traced(chute):
        seen[chute] = Spans(chute)
        cords(chute)

    async with twins(traced) as both:
        for call in CALLS:
            await both.compare(call)
        await both.compare(GOOD, short=True)
        short, long = ([told(span) for span in seen[side.chute].ended()] for side in (both.short, both.long))
    assert short == long
    assert len(short) > len(CALLS) / 2


def told(span):
    fields = dict(span.attributes)
    fields.pop("chutes.request_id", None)
    return span.name, span.status.status_code, fields, [event.name for event in span.events]


def log_line(formatter):
    record = logging.LogRecord("chutes.x", logging.INFO, __file__, 1, "hello", (), None)
    return formatter.format(record)


def test_log_lines_have_the_ids_of_the_current_span():
    tracer = Spans(Chute("acme", "probe", "python:3.11")).tracer
    with tracer.start_as_current_span("work") as span:
        line, text = json.loads(log_line(JsonFormatter())), log_line(HumanFormatter(colours=False))
    ids = format(span.context.trace_id, "032x"), format(span.context.span_id, "016x")
    assert (line["trace_id"], line["span_id"]) == ids
    assert text.endswith(f"hello [trace {ids[0][:8]}]")


def test_log_lines_outside_of_spans_have_no_such_ids():
    line = json.loads(log_line(JsonFormatter()))
    assert not {"trace_id", "span_id"} & set(line)
    assert "trace" not in log_line(HumanFormatter(colours=False))
