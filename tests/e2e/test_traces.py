"""Traces of a real process, as a collector gets them."""

import os

import pytest

from support.chute_process import reserved_port
from support.collector import attributes, collecting

APP = """
import logging

from chutes.chute import Chute

chute = Chute("acme", "traced", "python:3.11", concurrency=2, revision="1.2.3")


@chute.on_startup()
async def load(self):
    from opentelemetry import trace

    self.tracer = trace.get_tracer("model")


@chute.cord("/generate")
async def generate(self, prompt: str) -> str:
    with self.tracer.start_as_current_span("tokenize"):
        logging.getLogger("model").info("tokens of %s", prompt)
    return prompt.upper()


@chute.cord("/fail")
def fail(self) -> str:
    raise ValueError("secret")
"""

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def run(program):
    program.write(APP)

    def start(**environ):
        unset = {name: "" for name in os.environ if name.startswith("OTEL_")}
        return program.start("app.py", "--port", 0, **unset | environ)

    return start


@pytest.fixture
def without_sdk(tmp_path):
    """Variables that hide the SDK from a process."""
    stub = tmp_path / "without" / "opentelemetry" / "sdk"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('not here')\n")
    paths = [str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def test_the_address_of_a_collector_is_all_that_it_takes(run):
    with collecting() as collector:
        with run(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as chute, chute.client() as client:
            answer = client.post("/generate", json={"prompt": "abc"}, headers=TRACEPARENT)
            assert answer.json() == "ABC"
            assert client.post("/fail").status_code == 500
            # What the exporter still holds is sent at the end.
            assert chute.stop() == 0
            line = next(line for line in chute.lines if line["message"] == "tokens of abc")

        (request,) = collector.named("POST /generate")
        (child,) = collector.named("tokenize")
        (failed,) = collector.named("POST /fail")
    assert set(collector.paths) == {"/v1/traces"}
    assert {(one["service.name"], one["service.version"]) for one in collector.services} == {
        ("traced", "1.2.3")
    }
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert (child.trace_id, child.parent_span_id) == (request.trace_id, request.span_id)
    told = attributes(request)
    assert told["chutes.request_id"] == answer.headers["x-request-id"] == line["request_id"]
    assert (told["chutes.cord"], told["http.route"], told["http.response.status_code"]) == (
        "generate",
        "/generate",
        200,
    )
    assert (line["trace_id"], line["span_id"]) == (TRACE, child.span_id.hex())
    assert attributes(failed)["error.type"] == "ValueError"
    assert [event.name for event in failed.events] == ["exception"]


def test_the_standard_variables_name_the_service_and_choose_what_is_kept(run):
    with collecting() as collector:
        environ = {
            "CHUTES_OTEL": "on",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/here",
            "OTEL_SERVICE_NAME": "another",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        }
        with run(**environ) as chute, chute.client() as client:
            client.post("/generate", json={"prompt": "left out"})
            client.post("/generate", json={"prompt": "kept"}, headers=TRACEPARENT)
            assert chute.stop() == 0

        (request,) = collector.named("POST /generate")
    assert request.trace_id.hex() == TRACE
    assert collector.paths[0] == "/here"
    assert collector.services[0]["service.name"] == "another"
    assert collector.services[0]["deployment.environment.name"] == "test"


def test_a_collector_that_is_away_disturbs_nobody(run):
    with (
        reserved_port() as port,
        run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}") as chute,
        chute.client() as client,
    ):
        assert client.post("/generate", json={"prompt": "a"}).status_code == 200
        assert chute.stop() == 0


def test_traces_that_are_asked_for_without_their_library_end_the_start_with_what_to_install(run, without_sdk):
    with run(CHUTES_OTEL="on", **without_sdk) as chute:
        assert chute.wait() != 0
        assert 'pip install "openchutes[otel]"' in chute.text
        assert "Traceback" not in chute.text


def test_a_collector_is_no_reason_to_fail_without_the_library(run, without_sdk):
    with (
        run(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", **without_sdk) as chute,
        chute.client() as client,
    ):
        assert client.post("/generate", json={"prompt": "a"}).json() == "A"
        assert any(
            "No traces are made" in message and "openchutes[otel]" in message for message in chute.messages
        )
