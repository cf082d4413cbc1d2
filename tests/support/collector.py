"""A collector of OpenTelemetry traces on 127.0.0.1: it keeps what is posted to it."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collector:
    """What arrived.

    Attributes:
        url: its address.
        paths: of the requests that it got.
        services: the attributes of the services that sent something.
    """

    def __init__(self, url):
        self.url = url
        self.paths = []
        self.services = []
        self._spans = []

    def take(self, path, body):
        self.paths.append(path)
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.append(attributes(sent.resource))
            for scope in sent.scope_spans:
                self._spans.extend(scope.spans)

    def named(self, name):
        """The spans of this name."""
        return [span for span in list(self._spans) if span.name == name]


def attributes(holder):
    """Attributes as a dict; only texts and whole numbers are looked at."""
    return {
        one.key: one.value.string_value if one.value.HasField("string_value") else one.value.int_value
        for one in holder.attributes
    }


@contextmanager
def collecting():
    """Listens while its block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
