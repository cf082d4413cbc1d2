"""What stands for the server in a test: one lifespan, a task per request, one event loop, no port."""

import asyncio
import logging
from contextvars import Context

import httpx2
from starlette.types import ASGIApp, Scope

from chutes.errors import ClientNotOpen
from chutes.testing.connection import Connection
from chutes.testing.engines import use_engine
from chutes.testing.exchange import Exchange
from chutes.testing.jobs import keep_jobs_apart
from chutes.testing.lifespan import Lifespan
from chutes.testing.options import ServingOptions
from chutes.testing.scope import http_scope, websocket_scope

__all__ = ["InProcessServer"]

# Time for what was cancelled to clean up.
_CANCEL_GRACE = 1.0

_logger = logging.getLogger("chutes.testing")


class InProcessServer:
    """Serves an application to one client. All coroutines run on the application's event loop."""

    def __init__(self, application: ASGIApp, options: ServingOptions) -> None:
        self._application = application
        self._options = options
        self._lifespan = Lifespan(application, options.lifespan_timeout)
        self._context: Context | None = None
        self._open: dict[asyncio.Task[None], Exchange | Connection] = {}

    async def startup(self, context: Context) -> None:
        """Run the application's startup.

        Args:
            context: startup and each request get a copy of it, as if a server had been started in it.

        Raises:
            BaseException: what `Lifespan.startup` raises.
        """
        keep_jobs_apart(self._application)
        use_engine(self._application, self._options.engine)
        await self._lifespan.startup(context.copy())
        self._context = context

    async def end_requests(self) -> None:
        """Accept no more requests, disconnect those in flight, and cancel them after their grace."""
        self._context = None
        for connection in self._open.values():
            connection.disconnect()
        if not self._open:
            return
        grace = self._options.shutdown_grace
        _, late = await asyncio.wait(self._open, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            _, deaf = await asyncio.wait(late, timeout=_CANCEL_GRACE)
            _logger.warning(
                "%d requests did not end within %s s and were cancelled; %d ignored it.",
                len(late),
                grace,
                len(deaf),
            )

    async def shutdown(self) -> None:
        """Run the application's shutdown.

        Raises:
            BaseException: what `Lifespan.shutdown` raises.
        """
        await self._lifespan.shutdown()

    async def open(self, request: httpx2.Request) -> Exchange:
        """Hand a request to the application; its body is fed to the exchange.

        Raises:
            ClientNotOpen: outside of startup and shutdown.
        """
        exchange = Exchange(request, raise_errors=self._options.raise_errors)
        self._serve(exchange, http_scope(request, self._options, self._lifespan.state))
        return exchange

    async def connect(self, handshake: httpx2.Request) -> tuple[Connection, httpx2.Response]:
        """Open a websocket; the response is the application's accept.

        Raises:
            ClientNotOpen: outside of startup and shutdown.
            WebSocketRefused: the application did not accept.
            httpx2.ReadTimeout: it did not answer in time.
        """
        connection = Connection(handshake, raise_errors=self._options.raise_errors)
        self._serve(connection, websocket_scope(handshake, self._options, self._lifespan.state))
        try:
            return connection, await connection.accept()
        except BaseException:
            connection.disconnect()
            raise

    def _serve(self, connection: Exchange | Connection, scope: Scope) -> None:
        if self._context is None:
            raise ClientNotOpen(
                "The application is not running. Write `with TestClient(chute) as client:` (or `async with "
                "AsyncTestClient(chute) as client:`) and use the client inside."
            )
        running = connection.run(self._application, scope)
        task = asyncio.get_running_loop().create_task(running, context=self._context.copy())
        self._open[task] = connection
        task.add_done_callback(self._open.pop)
