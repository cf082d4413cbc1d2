"""Spans that stay in this process, for chutes that are tested in it."""

from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chutes.serve.tracing import Tracing
from chutes.testing import TestClient, wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Spans:
    """The spans of one chute that have ended."""

    def __init__(self, chute):
        self._exporter = InMemorySpanExporter()
        # Not the provider of the process: FastAPI's own telemetry in other tests would find it.
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")
        served = chute.app.served
        served.tracing = Tracing(lambda: self.provider)
        for batcher in served.batchers:
            batcher.tracing = served.tracing

    def ended(self, count=None):
        """All of them, once there are as many as expected; oldest first."""
        if count is not None:
            wait_until(lambda: len(self._exporter.get_finished_spans()) >= count)
        spans = self._exporter.get_finished_spans()
        assert count is None or len(spans) == count, [span.name for span in spans]
        return spans

    def one(self):
        (span,) = self.ended(1)
        return span


@contextmanager
def tracing(chute):
    """A client of a chute, and its spans."""
    spans = Spans(chute)
    with TestClient(chute) as client:
        yield client, spans


def trace_of(span):
    return format(span.context.trace_id, "032x")


def current_ids():
    """The ids of the current trace and span."""
    context = trace.get_current_span().get_span_context()
    return {"trace": format(context.trace_id, "032x"), "span": format(context.span_id, "016x")}
