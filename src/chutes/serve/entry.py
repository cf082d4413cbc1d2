"""The chute's ASGI entry: request ids, probes, keys, the body limit and the last word on errors."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from chutes.errors import NotReady, RequestError
from chutes.json_values import encode_json
from chutes.serve.auth import KeyRing
from chutes.serve.body import Bodies, Body
from chutes.serve.exchange import Exchange, shown_path
from chutes.serve.failures import cancelled_from_outside, closed_from_outside, log_failure, wants_errors
from chutes.serve.lifecycle import State
from chutes.serve.logs import current_request_id
from chutes.serve.streaming import StreamAborted

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["Entry", "Unauthorized"]

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_PROBES = ("/livez", "/readyz", "/health")
_UNTRACED = (*_PROBES, "/metrics")
_RETRY = {"Retry-After": "1"}
# To look up an enum's member costs as much as all the rest of the question.
_READY = State.READY


class Unauthorized(RequestError):  # noqa: N818 - named for the condition
    """The request has no key, or a wrong one."""

    status = 401


class Entry:
    """One thin wrapper around the application: everything here acts on every request."""

    def __init__(self, served: "ServedChute", keys: KeyRing) -> None:
        self._served = served
        self._lifecycle = served.lifecycle
        self._keys = keys
        # To ask the kernel for each id costs more than all else that is done for it.
        self._ids = random.Random()  # noqa: S311 - they are no secrets
        self._is_open = not keys
        self._requests = logging.getLogger("chutes.requests")
        self._bodies = Bodies(served.chute.config.max_body_size)
        self._root = served.app.root_path

    def begin(self) -> None:
        """A process begins to serve: one that was forked makes up ids of its own."""
        self._ids.seed()

    @property
    def has_keys(self) -> bool:
        """Whether requests need an API key."""
        return bool(self._keys)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request or websocket, or speak the lifespan protocol."""
        if scope["type"] == "http":
            handle = self._http
        elif scope["type"] == "websocket":
            handle = self._websocket
        else:
            return self._lifecycle.lifespan(scope, receive, send)
        tracing = self._served.tracing
        if tracing is None or self._route_path(scope) in _UNTRACED:
            return handle(scope, receive, send)
        return tracing.observe(handle, scope, receive, send)

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id")
        if given is not None and _SANE_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._ids.getrandbits(128):032x}"

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        exchange = Exchange(self._request_id(headers), send, self._lifecycle)
        exchange.attach(scope, self._lifecycle.values)
        token = current_request_id.set(exchange.request_id)
        tracked = exchange.track
        body: Body | None = None
        try:
            if not scope["path"].endswith(_PROBES) or not await self._probe(scope, tracked):
                if self._lifecycle.state is not _READY or not self._is_open:
                    self._admit(scope)
                body = self._bodies.of(scope, headers, receive)
                front = self._served.front
                if front is not self._served.app:
                    exchange.direct, exchange.is_whole = True, body is None
                    # Of several only the first counts.
                    exchange.has_json = headers.get(b"content-type") == b"application/json" and len(
                        headers
                    ) == len(scope["headers"])
                await front(scope, receive if body is None else body.receive, tracked)
        except RequestError as error:
            await _send_error(tracked, error)
        except StreamAborted:
            raise
        except asyncio.CancelledError as error:
            await self._cancelled(scope, exchange, tracked, error)
        except ClientDisconnect:
            # It left in the middle of its body: there is nobody to answer.
            return
        except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # noqa: BLE001 - the edge: nothing may escape unlogged
            await self._failed(scope, exchange, tracked, error)
        finally:
            if body is not None:
                body.close()
            self._count(scope, exchange)
            current_request_id.reset(token)

    async def _cancelled(
        self, scope: Scope, exchange: Exchange, send: Send, error: asyncio.CancelledError
    ) -> None:
        """Answer a call that the end of the grace period cuts off, or whose own code was at fault."""
        if not cancelled_from_outside(error):
            await self._failed(scope, exchange, send, error)
            return
        self._cut_off(scope, error)
        if exchange.status:
            raise StreamAborted from error
        text = "The chute stopped before this call was done."
        await _send_error(send, RequestError(text), exchange.request_id)

    async def _failed(self, scope: Scope, exchange: Exchange, send: Send, error: BaseException) -> None:
        """Log what escaped from the application, and see that the client learns of it."""
        if closed_from_outside(error):
            raise error
        self._log(scope, error)
        if not exchange.status:
            await _send_error(send, RequestError("Internal Server Error"), exchange.request_id)
        elif not exchange.complete:
            raise StreamAborted from error
        if wants_errors(scope):
            raise error

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self._request_id(dict(scope["headers"])), send)
        exchange.attach(scope, self._lifecycle.values)
        token = current_request_id.set(exchange.request_id)
        identity = (b"x-request-id", exchange.request_id.encode())

        async def tracked(message: Message) -> None:
            if message["type"] in ("websocket.accept", "websocket.http.response.start"):
                message = {**message, "headers": [*message.get("headers", ()), identity]}
            try:
                await send(message)
            except RuntimeError as error:
                if "after sending 'websocket.close'" not in str(error):
                    raise
                # The server has closed it because of what the client sent: to the function the client has left.
                raise ConnectionAbortedError(str(error)) from error

        try:
            self._admit(scope)
            await self._served.app(scope, receive, tracked)
        except RequestError as error:
            await receive()
            await _refuse_socket(scope, tracked, error)
        except asyncio.CancelledError as error:
            self._cut_off(scope, error)
            raise StreamAborted from error
        except (Exception, SystemExit) as error:
            self._log(scope, error)
            if wants_errors(scope):
                raise
            raise StreamAborted from error
        finally:
            current_request_id.reset(token)

    async def _probe(self, scope: Scope, send: Send) -> bool:
        """Answer a probe here, where neither a key nor the user's routes and middleware are in its way."""
        path = self._route_path(scope)
        if scope["method"] not in ("GET", "HEAD"):
            return False
        if path in ("/livez", "/readyz"):
            health = self._served.health
            status, body = health.alive() if path == "/livez" else health.ready()
            await _send_json(send, status, body, None if status == HTTPStatus.OK else _RETRY)
        elif path == "/health":
            return await self._health(scope, send)
        else:
            return False
        return True

    async def _health(self, scope: Scope, send: Send) -> bool:
        """Without a key `/health` says only whether all is well: the check's text may be confidential."""
        if self._served.owns("/health"):
            return False
        status, body = await self._served.health.report()
        if self._keys and not self._keys.admits(scope["headers"]):
            body = {"status": body.get("status", "unhealthy")}
        await _send_json(send, status, body, None if status == HTTPStatus.OK else _RETRY)
        return True

    def _admit(self, scope: Scope) -> None:
        """Refuse what comes before the start, after the end, without a key, or too large."""
        lifecycle = self._lifecycle
        if not lifecycle.accepts and (lifecycle.state is not State.NEW or lifecycle.has_hooks):
            raise NotReady(_not_ready_text(lifecycle.state), _RETRY)
        if self._keys and not self._keys.admits(scope["headers"]) and not self._is_preflight(scope):
            raise Unauthorized(
                "This chute needs an API key. Send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'.",
                {"WWW-Authenticate": "Bearer"},
            )

    def _is_preflight(self, scope: Scope) -> bool:
        """Browsers send no key with a CORS preflight; the user's CORS middleware answers it and nothing else runs."""
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            return False
        names = {name for name, _ in scope["headers"]}
        middleware: list[object] = [entry.cls for entry in self._served.app.user_middleware]
        return {b"origin", b"access-control-request-method"} <= names and CORSMiddleware in middleware

    def _route_path(self, scope: Scope) -> str:
        """The path without the prefix under which a proxy, or `root_path=`, has put the chute."""
        path: str = scope["path"]
        root: str = scope.get("root_path") or self._root
        return path.removeprefix(root) if root and path.startswith(root + "/") else path

    def _cut_off(self, scope: Scope, error: asyncio.CancelledError) -> None:
        """Log that the end of the grace period ended a call; cancelled by anybody else, it is the server's business."""
        if self._lifecycle.state not in (State.DRAINING, State.STOPPED):
            raise error
        self._served.logger.warning("%s was cut off: it outlasted shutdown_grace.", shown_path(scope))

    def _log(self, scope: Scope, error: BaseException) -> None:
        if isinstance(error, HTTPException):
            # An answer, though it was raised in middleware.
            return
        verb = scope.get("method", "WEBSOCKET")
        log_failure(self._served.logger, f"{verb} {shown_path(scope)} failed", error)

    def _count(self, scope: Scope, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.since
        if exchange.meter is not None:
            exchange.meter.count(exchange.status, seconds)
        if self._requests.isEnabledFor(logging.DEBUG):
            self._requests.debug(
                "%s %s %s %.1f ms", scope["method"], shown_path(scope), exchange.status, seconds * 1000
            )


def _not_ready_text(state: State) -> str:
    texts = {
        State.NEW: (
            "The chute was not started: its startup hooks run in the ASGI lifespan, which this server did not begin. "
            "Use `chutes run`, a server with lifespan on, or `with TestClient(chute)`."
        ),
        State.STARTING: "The chute is starting.",
        State.FAILED: "The chute failed to start.",
    }
    return texts.get(state, "The chute has stopped.")


async def _send_json(send: Send, status: int, body: object, headers: dict[str, str] | None = None) -> None:
    content = encode_json(body)
    raw = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    raw += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})


async def _send_error(send: Send, error: RequestError, request_id: str | None = None) -> None:
    body = {"detail": error.detail} | ({"request_id": request_id} if request_id else {})
    await _send_json(send, error.status, body, error.headers)


async def _refuse_socket(scope: Scope, send: Send, error: RequestError) -> None:
    """Refuse the handshake with a status where the server can, with a close code where it cannot."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        going_away = 1012 if isinstance(error, NotReady) else 1008
        await send({"type": "websocket.close", "code": going_away, "reason": error.detail[:100]})
        return
    content = encode_json({"detail": error.detail})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": content})
