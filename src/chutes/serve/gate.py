"""Where requests leave FastAPI's way for the short one, and where they come back to it."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chutes.serve.cords import CordRoute
from chutes.serve.fast import Detour

__all__ = ["Gate", "Rejoin"]

_ERROR = "chutes.error"
_DETOURED = "chutes.detoured"
_PATH_ROUTES = (Route, APIRoute, Mount, WebSocketRoute, APIWebSocketRoute)


class Gate:
    """An ASGI application that answers common cords itself and leaves the rest to `app`.

    Args:
        app: the rest of the stack.
        routes: the application's routes, which may grow while requests are served.
        router: what `scope["router"]` is, for middleware that looks.
    """

    def __init__(self, app: ASGIApp, routes: Callable[[], list[BaseRoute]], router: object) -> None:
        self._app = app
        self._routes = routes
        self._router = router
        self._table: dict[tuple[str, str], CordRoute] = {}
        self._known = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand over."""
        passes = scope["type"] != "http" or scope.get("root_path") or "fastapi.telemetry" in scope
        # There are two gates, before and behind the middleware: a cord is tried at one of them.
        if passes or _DETOURED in scope:
            await self._app(scope, receive, send)
            return
        routes = self._routes()
        if len(routes) != self._known:
            self._table, self._known = _table(routes), len(routes)
        route = self._table.get((scope["method"], scope["path"]))
        if route is None or route.fast is None:
            await self._app(scope, receive, send)
            return
        scope["router"], scope["route"] = self._router, route
        scope["endpoint"], scope["path_params"] = route.endpoint, {}
        try:
            await route.fast(scope, receive, send)
        except Detour as detour:
            found = detour
        else:
            return
        # Outside of the except block: an error that is raised there would name the detour as its context.
        await self._hand_over(scope, found, send)

    async def _hand_over(self, scope: Scope, detour: Detour, send: Send) -> None:
        scope[_DETOURED] = True
        if detour.error is not None:
            scope[_ERROR] = detour.error
        for key in ("router", "route", "endpoint", "path_params"):
            del scope[key]
        await self._app(scope, detour.receive, send)


class Rejoin:
    """The innermost application: raises what a short way raised, where FastAPI's handlers see it.

    Args:
        router: FastAPI's router, for every other request.
    """

    def __init__(self, router: ASGIApp) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise, or route."""
        error = scope.pop(_ERROR, None)
        if error is not None:
            raise error
        await self._router(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)


def _table(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], CordRoute]:
    """The cords that have a short way; one that an earlier route answers for stays out, as FastAPI's order has it."""
    earlier: list[BaseRoute] = []
    table: dict[tuple[str, str], CordRoute] = {}
    for route in routes:
        if isinstance(route, CordRoute) and route.fast is not None and route.twin is None:
            (method,) = route.methods or {"POST"}
            if not any(_answers(other, method, route.path) for other in earlier):
                table[method, route.path] = route
        earlier.append(route)
    return table


def _answers(route: BaseRoute, method: str, path: str) -> bool:
    if not isinstance(route, _PATH_ROUTES):
        # Of a route that looks at more than the path nothing is known before there is a request.
        return True
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return route.matches(scope)[0] is Match.FULL
