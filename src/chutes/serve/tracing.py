"""One OpenTelemetry span for each request, websocket and batch. Imported only where OpenTelemetry is installed."""

import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry import context, propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer, TracerProvider
from starlette.types import Message, Receive, Scope, Send

from chutes.serve.exchange import exchange_of
from chutes.serve.spans import error_type

__all__ = ["Tracing"]

_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
_LOWEST_FAILURE = 500
_FLUSH_SECONDS = 3.0
_FASTAPIS_OWN = "fastapi.telemetry"

Headers = list[tuple[bytes, bytes]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Tracing:
    """The spans of one chute.

    Args:
        provider: makes what the spans go to, when it is first needed.
        version: of this package.
    """

    def __init__(self, provider: Callable[[], TracerProvider], version: str = "") -> None:
        self._make = provider
        self._version = version
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self) -> None:
        """Make what the spans go to, so that the user's code finds it."""
        self._ready()

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Send what is left, at the end; takes no longer than `seconds`.

        An exporter tries for longer when its collector is away, and the SDK's own way to wait for it has no limit.
        """
        flush = getattr(self._provider, "force_flush", None)
        if flush is not None:
            sender = threading.Thread(target=flush, name="chutes-traces", daemon=True)
            sender.start()
            sender.join(seconds)

    async def observe(self, handle: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request or a websocket inside a span.

        Its parent is the one that the request names. It ends with the last part of the answer: what runs in the
        background afterwards belongs to it and does not lengthen it.
        """
        parent = propagate.extract(scope["headers"], getter=_FIELDS)
        verb = _verb(scope)
        span = self._ready().start_span(verb, parent, SpanKind.SERVER, _attributes(scope))
        # FastAPI's own telemetry would make a second span of the same request.
        scope[_FASTAPIS_OWN] = None
        answer = _Answer(send)
        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            await handle(scope, receive, answer.send)
        except BaseException as error:
            _mark_failed(span, error_type(error.__cause__ or error))
            raise
        finally:
            context.detach(token)
            _end(span, scope, verb, answer)

    def here(self) -> SpanContext:
        """What a batch needs to know of the current span."""
        return trace.get_current_span().get_span_context()

    @contextmanager
    def batch(self, cord: str, requests: Sequence[SpanContext]) -> Iterator[None]:
        """A span around one call for the items of several requests; they have one parent each, so it has links."""
        with self._ready().start_as_current_span(
            f"batch {cord}",
            context.Context(),
            attributes={"chutes.cord": cord, "chutes.batch.size": len(requests)},
            links=[Link(request) for request in requests if request.is_valid],
        ):
            yield

    def _ready(self) -> Tracer:
        if self._tracer is None:
            self._provider = self._make()
            self._tracer = self._provider.get_tracer("chutes", self._version)
        return self._tracer


class _Answer:
    """How far the answer is, as the server sees it."""

    def __init__(self, send: Send) -> None:
        self.status = 0
        self.ended: int | None = None
        self._send = send

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        await self._send(message)
        if kind == "http.response.body" and not message.get("more_body", False):
            self.ended = time.time_ns()


class _Fields(Getter[Headers]):
    """The fields of a request, by any spelling of their names."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        wanted = key.lower().encode()
        values = [value.decode("latin-1") for name, value in carrier if name == wanted]
        # A field that may come several times means what it would mean joined.
        return [",".join(values)] if values else None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_FIELDS = _Fields()


def _verb(scope: Scope) -> str:
    if scope["type"] == "websocket":
        return "WS"
    return scope["method"] if scope["method"] in _METHODS else "HTTP"


def _attributes(scope: Scope) -> dict[str, str | int]:
    """What is known before the request is handled, under the names of the semantic conventions.

    The query stays out: the arguments of cords that answer GET stand in it.
    """
    found: dict[str, str | int] = {"url.scheme": scope.get("scheme", ""), "url.path": scope["path"]}
    if scope["type"] == "websocket":
        found["network.protocol.name"] = "websocket"
    else:
        known = scope["method"] in _METHODS
        found["http.request.method"] = scope["method"] if known else "_OTHER"
        if not known:
            found["http.request.method_original"] = scope["method"]
        found["network.protocol.version"] = scope.get("http_version", "")
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return found | _server(host)


@lru_cache(maxsize=64)
def _server(host: bytes) -> dict[str, str | int]:
    """The host and port that the client asked for; most ask for the same."""
    try:
        parts = urlsplit("//" + host.decode("latin-1"))
        port = parts.port
    except ValueError:
        return {}
    found: dict[str, str | int] = {"server.address": parts.hostname} if parts.hostname else {}
    return found | {"server.port": port} if port is not None else found


def _end(span: Span, scope: Scope, verb: str, answer: _Answer) -> None:
    """Tell the span what came of the request."""
    exchange = exchange_of(scope)
    told: dict[str, str | int] = {"chutes.request_id": exchange.request_id}
    if exchange.meter is not None:
        told["chutes.cord"] = exchange.meter.cord
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        # By now the root holds the path under which an inner application is mounted, too.
        path = scope.get("root_path", "").rstrip("/") + path
        told["http.route"] = path
        span.update_name(f"{verb} {path}")
    if answer.status:
        told["http.response.status_code"] = answer.status
    span.set_attributes(told)
    if answer.status >= _LOWEST_FAILURE:
        _mark_failed(span, str(answer.status))
    span.end(answer.ended)


def _mark_failed(span: Span, kind: str) -> None:
    span.set_status(StatusCode.ERROR)
    # An exception that was recorded says more.
    if "error.type" not in (getattr(span, "attributes", None) or ()):
        span.set_attribute("error.type", kind)
