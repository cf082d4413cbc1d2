"""A call goes on with the trace in which it is made."""

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider

from chutes.client import AsyncClient, Client


@pytest.fixture
def seen():
    return []


@pytest.fixture
def transport(seen):
    def answer(request):
        seen.append(request.headers)
        return httpx2.Response(200, json="ok")

    return httpx2.MockTransport(answer)


@pytest.fixture
def span():
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("caller") as span:
        yield span


def parent(span):
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def test_a_call_names_the_current_span(transport, seen, span):
    with Client("http://chute", transport=transport) as client:
        client.call("/run", method="POST", value=1)
        client.call("/run", method="POST", value=1, headers={"traceparent": "mine"})
    assert [headers["traceparent"] for headers in seen] == [parent(span), "mine"]
    assert all("x-request-id" in headers for headers in seen)


async def test_an_asynchronous_one_too(transport, seen):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    async with AsyncClient("http://chute", transport=transport) as client:
        with tracer.start_as_current_span("caller") as span:
            await client.call("/run", method="POST", value=1)
    assert [headers["traceparent"] for headers in seen] == [parent(span)]


def test_outside_of_spans_nothing_is_added(transport, seen):
    with Client("http://chute", transport=transport) as client:
        client.call("/run", method="POST", value=1)
    assert "traceparent" not in seen[0]
