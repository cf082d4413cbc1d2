"""Whether a chute makes traces, and what is said when it cannot."""

import logging
import threading

import pytest

from chutes.errors import SettingsError
from chutes.serve.telemetry import tracing_of
from chutes.serve.tracing import Tracing
from chutes.settings import OtelSettings
from chutes.testing import TestClient
from support.serving import new_chute
from support.traces import Spans

CONFIG = new_chute().config


def test_a_chute_makes_no_traces_unless_it_is_told_to():
    assert tracing_of(CONFIG, OtelSettings()) is None


def test_asked_for_or_offered_a_collector_it_makes_them():
    for tracing in ("asked", "offered"):
        assert isinstance(tracing_of(CONFIG, OtelSettings(tracing=tracing)), Tracing)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"protocol": "http/json"}, "Write http/protobuf"),
        ({"protocol": "grpc"}, "pip install opentelemetry-exporter-otlp-proto-grpc"),
        ({"exporters": ("console", "zipkin")}, "pip install opentelemetry-exporter-zipkin"),
    ],
)
def test_what_is_missing_is_an_error_where_traces_were_asked_for_and_a_warning_elsewhere(
    options, advice, caplog
):
    with pytest.raises(SettingsError, match=advice):
        tracing_of(CONFIG, OtelSettings(tracing="asked", **options))
    with caplog.at_level(logging.WARNING):
        assert tracing_of(CONFIG, OtelSettings(tracing="offered", **options)) is None
    assert advice in caplog.text


def test_the_extra_is_named_where_the_exporter_is_missing(monkeypatch):
    monkeypatch.setattr("chutes.serve.telemetry.entry_points", lambda **_: [])
    with pytest.raises(SettingsError, match=r'pip install "openchutes\[otel\]"'):
        tracing_of(CONFIG, OtelSettings(tracing="asked"))


def test_a_provider_that_the_user_has_set_is_used_as_it_is(monkeypatch):
    chute = new_chute()
    chute.cord("/run")(lambda self: 1)
    spans = Spans(chute)
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: spans.provider)
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", pytest.fail)
    chute.app.served.tracing = tracing_of(CONFIG, OtelSettings(tracing="asked"))
    with TestClient(chute) as client:
        client.post("/run")
    assert spans.one().name == "POST /run"


def test_what_is_left_is_sent_at_the_end_without_waiting_for_ever():
    sent = threading.Event()

    class Slow:
        def get_tracer(self, *_):
            return None

        def force_flush(self):
            sent.set()
            threading.Event().wait()

    tracing = Tracing(Slow)
    tracing.flush()
    assert not sent.is_set()
    tracing.start()
    tracing.flush(seconds=0.01)
    assert sent.wait(10)
