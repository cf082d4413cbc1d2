"""Clients that drive an application in this process, from its startup to its shutdown."""

import contextvars
import functools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2
from starlette.types import ASGIApp

from chutes.errors import ShutdownError, StartupError
from chutes.testing.handshake import handshake_request
from chutes.testing.loop_thread import LoopBlocked, LoopThread
from chutes.testing.options import ServingOptions
from chutes.testing.server import InProcessServer
from chutes.testing.sessions import AsyncWebSocketSession, WebSocketSession
from chutes.testing.timeouts import WaitLimits
from chutes.testing.transport import AsyncTransport, SyncTransport

if TYPE_CHECKING:
    from chutes.serve.engine import ModelServer

__all__ = ["AsyncTestClient", "TestClient"]

_BASE_URL = "http://testserver"
_TIMEOUT = 30.0
# Seconds before a client that is left takes a silent event loop for a blocked one.
_EXIT_PATIENCE = 3.0
# The close code of a client that fails.
_INTERNAL_ERROR = 1011


class TestClient(httpx2.Client):
    """An `httpx2.Client` whose server is a chute, or any other ASGI application, in this process.

    Entering it runs the startup hooks, leaving it the shutdown hooks. The application lives on an event loop
    of its own, on another thread. The client may be shared between threads.

    Args:
        application: a chute, or any ASGI application.
        raise_errors: raise the application's own exceptions in the test. By default they are what they are
            for a client on the network: an answer of status 500, or one that breaks off. A response is then
            whole only when the application has returned, background tasks included.
        base_url: what relative URLs stand for.
        timeout: seconds to wait for each next part of an answer, and for the application to take each next
            part of a request; an `httpx2.Timeout` sets them apart.
        root_path: path under which a proxy mounts the application, such as "/v1".
        client: address and port from which requests seem to come.
        lifespan_timeout: seconds that startup may take, and shutdown again; None sets no limit.
        shutdown_grace: seconds that requests in flight get to end when the client is left, before they are
            cancelled.
        engine: what serves the model of a chute that has one, such as a `FakeEngine`; None: its own engine.
        **options: headers, cookies, params, auth, follow_redirects, … for `httpx2.Client`.

    Raises:
        ValueError: an option is not valid.

    Example:
        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200, "headers": []})
        ...     await send({"type": "http.response.body", "body": b"Hello"})
        >>> with TestClient(hello) as client:
        ...     client.get("/").text
        'Hello'
    """

    # The name begins as pytest's test classes do.
    __test__ = False

    def __init__(
        self,
        application: ASGIApp,
        *,
        raise_errors: bool = False,
        base_url: str = _BASE_URL,
        timeout: float | httpx2.Timeout | None = _TIMEOUT,
        root_path: str = "",
        client: tuple[str, int] = ("127.0.0.1", 50000),
        lifespan_timeout: float | None = 60.0,
        shutdown_grace: float = 1.0,
        engine: "ModelServer | None" = None,
        **options: Any,
    ) -> None:
        self._options = ServingOptions(
            raise_errors=raise_errors,
            root_path=root_path,
            client=client,
            lifespan_timeout=lifespan_timeout,
            shutdown_grace=shutdown_grace,
            engine=engine,
        )
        self._server = InProcessServer(application, self._options)
        self._thread = LoopThread()
        self.transport = SyncTransport(self._server, self._thread)
        options.setdefault("trust_env", False)
        super().__init__(transport=self.transport, base_url=base_url, timeout=timeout, **options)

    def __enter__(self) -> Self:
        """Run the application's startup.

        Raises:
            StartupError: the application reported a failure without raising, or took too long.
            BaseException: what the application raised, such as a startup hook's own exception.
        """
        super().__enter__()
        self._thread.start()
        try:
            self._thread.call(
                self._options.lifespan_timeout, self._server.startup, contextvars.copy_context()
            )
        except BaseException as error:
            super().__exit__(type(error), error, error.__traceback__)
            self._thread.stop()
            if isinstance(error, LoopBlocked):
                raise StartupError(str(error)) from None
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Disconnect every request, then run the application's shutdown.

        Raises:
            ShutdownError: the application reported a failure without raising, or took too long.
            BaseException: what the application raised, such as a shutdown hook's own exception. It is
                a note on the exception that leaves the block, if there is one.
        """
        super().__exit__(exc_type, exc_value, traceback)
        try:
            self._thread.call(_EXIT_PATIENCE, self._server.end_requests)
            self._thread.call(self._options.lifespan_timeout, self._server.shutdown)
        except LoopBlocked as blocked:
            _report(ShutdownError(str(blocked)), exc_value)
        except Exception as error:  # noqa: BLE001 - it is raised, or noted
            _report(error, exc_value)
        finally:
            self._thread.stop()

    @contextmanager
    def websocket_connect(
        self, url: str, *, subprotocols: Sequence[str] = (), **options: Any
    ) -> Iterator[WebSocketSession]:
        """Open a websocket; leaving the block closes it, with code 1000, or 1011 after an exception.

        Args:
            url: path, or a whole URL.
            subprotocols: what the client offers, the preferred one first.
            **options: headers, params, timeout, … as for a request.

        Raises:
            WebSocketRefused: the application did not accept.
            httpx2.ReadTimeout: it did not answer in time.
        """
        request = handshake_request(self, url, subprotocols, options)
        patience = WaitLimits.of(request).read
        try:
            connection, accept = self._thread.call(patience, self._server.connect, request)
        except LoopBlocked as blocked:
            raise httpx2.ReadTimeout(str(blocked)) from None
        self.cookies.extract_cookies(accept)
        try:
            yield WebSocketSession(AsyncWebSocketSession(connection, accept), self._thread, patience)
        except BaseException:
            self._thread.call_soon(functools.partial(connection.close, _INTERNAL_ERROR))
            raise
        self._thread.call_soon(connection.close)


class AsyncTestClient(httpx2.AsyncClient):
    """An `httpx2.AsyncClient` whose server is a chute, or any ASGI application, on the caller's event loop.

    It takes the arguments of `TestClient`. Entering it runs the startup hooks, leaving it the shutdown hooks.
    The client may be shared between tasks.

    Raises:
        ValueError: an option is not valid.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        raise_errors: bool = False,
        base_url: str = _BASE_URL,
        timeout: float | httpx2.Timeout | None = _TIMEOUT,
        root_path: str = "",
        client: tuple[str, int] = ("127.0.0.1", 50000),
        lifespan_timeout: float | None = 60.0,
        shutdown_grace: float = 1.0,
        engine: "ModelServer | None" = None,
        **options: Any,
    ) -> None:
        self._server = InProcessServer(
            application,
            ServingOptions(
                raise_errors=raise_errors,
                root_path=root_path,
                client=client,
                lifespan_timeout=lifespan_timeout,
                shutdown_grace=shutdown_grace,
                engine=engine,
            ),
        )
        self.transport = AsyncTransport(self._server)
        options.setdefault("trust_env", False)
        super().__init__(transport=self.transport, base_url=base_url, timeout=timeout, **options)

    async def __aenter__(self) -> Self:
        """Run the application's startup.

        Raises:
            StartupError: the application reported a failure without raising, or took too long.
            BaseException: what the application raised, such as a startup hook's own exception.
        """
        await super().__aenter__()
        try:
            await self._server.startup(contextvars.copy_context())
        except BaseException as error:
            await super().__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Disconnect every request, then run the application's shutdown.

        Raises:
            ShutdownError: the application reported a failure without raising, or took too long.
            BaseException: what the application raised, such as a shutdown hook's own exception. It is
                a note on the exception that leaves the block, if there is one.
        """
        await super().__aexit__(exc_type, exc_value, traceback)
        try:
            await self._server.end_requests()
            await self._server.shutdown()
        except Exception as error:  # noqa: BLE001 - it is raised, or noted
            _report(error, exc_value)

    @asynccontextmanager
    async def websocket_connect(
        self, url: str, *, subprotocols: Sequence[str] = (), **options: Any
    ) -> AsyncIterator[AsyncWebSocketSession]:
        """Open a websocket; leaving the block closes it, with code 1000, or 1011 after an exception.

        Args:
            url: path, or a whole URL.
            subprotocols: what the client offers, the preferred one first.
            **options: headers, params, timeout, … as for a request.

        Raises:
            WebSocketRefused: the application did not accept.
            httpx2.ReadTimeout: it did not answer in time.
        """
        request = handshake_request(self, url, subprotocols, options)
        connection, accept = await self._server.connect(request)
        self.cookies.extract_cookies(accept)
        try:
            yield AsyncWebSocketSession(connection, accept)
        except BaseException:
            connection.close(_INTERNAL_ERROR)
            raise
        connection.close()


def _report(error: Exception, first: BaseException | None) -> None:
    """Raise `error`, unless the test fails already: then the test's own failure matters more."""
    if first is None:
        raise error
    first.add_note(f"Shutdown failed, too: {error!r}")
