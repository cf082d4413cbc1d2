"""Where passthrough cords forward to: a port, an engine; and what traces see of it."""

import base64
from dataclasses import dataclass, field

import pytest

from chutes.chute.chute import definition_of
from chutes.testing import TestClient
from support.http_servers import ScriptedServer, http_answer
from support.serving import new_chute
from support.traces import TRACE, TRACEPARENT, tracing
from support.upstream import forward, upstream


@dataclass
class Engine:
    """An upstream that says when it can be asked."""

    url: str
    name: str = "engine"
    headers: dict = field(default_factory=lambda: {"Authorization": "Bearer engine"})
    seconds: float | None = None

    def retry_after(self):
        return self.seconds


@pytest.fixture
def other():
    with upstream() as server:
        yield server


def with_engine(engine, **options):
    chute = new_chute(**options)
    forward(chute, "/run", None, name="run")
    _ = chute.app
    definition_of(chute).running.engine = engine
    return chute


def values(seen, name):
    return [value for key, value in seen["headers"] if key == name]


def test_a_cord_without_a_port_goes_to_the_engine_and_has_its_key(other):
    chute = with_engine(Engine(other.url), passthrough_headers={"authorization": "Bearer chute", "X-A": "1"})
    with TestClient(chute) as client:
        seen = client.post("/run", content=b"x", headers={"Authorization": "Bearer client"}).json()
    assert base64.b64decode(seen["body"]) == b"x"
    assert values(seen, "authorization") == ["Bearer engine"]
    assert values(seen, "x-a") == ["1"]


def test_an_engine_that_is_not_ready_is_not_asked(other):
    engine = Engine(other.url, seconds=7.4)
    with TestClient(with_engine(engine)) as client:
        response = client.post("/run")
        assert (response.status_code, response.headers["retry-after"]) == (503, "7")
        assert "'engine'" in response.json()["detail"]
        assert not other.begun
        engine.seconds = None
        assert client.post("/run").status_code == 200


def test_an_engine_that_ends_without_an_answer_and_comes_back_says_when():
    server = ScriptedServer([None])

    class Restarting(Engine):
        def retry_after(self):
            return 3.0 if server.requests else None

    with TestClient(with_engine(Restarting(server.url))) as client:
        response = client.post("/run")
    # It had been sent: a 503 would say that nothing was begun.
    assert (response.status_code, response.headers["retry-after"]) == (502, "3")
    server.close()


def test_a_status_that_ends_no_call_is_no_answer():
    script = http_answer(200, b"").replace(b"200 Said", b"999 Said")
    server = ScriptedServer([script])
    with TestClient(with_engine(Engine(server.url))) as client:
        assert client.post("/run").status_code == 502
    server.close()


def test_no_call_follows_a_stream_of_a_server_that_closes_behind_it_unsaid():
    script = (
        b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n\r\n"
        b"1\r\nx\r\n0\r\n\r\n"
    )
    server = ScriptedServer([script])
    # It waits for what comes next over the connection, and closes that without an answer.
    server.hold_open = True
    with TestClient(with_engine(Engine(server.url))) as client:
        assert [client.post("/run").text for _ in range(3)] == ["x", "x", "x"]
    server.close()


def test_the_span_of_the_chute_is_the_parent_of_the_upstreams(other):
    chute = new_chute()
    forward(chute, "/run", other.port, name="run")
    with tracing(chute) as (client, spans):
        seen = client.post("/run", headers=TRACEPARENT).json()
        span = spans.one()
    (parent,) = values(seen, "traceparent")
    assert parent == f"00-{TRACE}-{span.context.span_id:016x}-01"
