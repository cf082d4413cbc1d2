"""Where requests leave FastAPI's way for the short one."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chutes.serve.cords import CordRoute
from chutes.serve.rejoining import has_left

__all__ = ["Gate"]

# Whether one of these answers is seen from the verb and the path alone.
_PATH_ROUTES = frozenset(kind.matches for kind in (Route, APIRoute, Mount, WebSocketRoute, APIWebSocketRoute))


class Gate:
    """An ASGI application that answers common cords itself and leaves the rest to `app`.

    Whoever calls it for every request calls `answer`: Python takes longer to call an object than a method.

    Args:
        app: the rest of the stack.
        routes: the application's routes, which may change while requests are served.
        router: what `scope["router"]` is, for middleware that looks.
        application: what `scope["app"]` is.
    """

    def __init__(
        self, app: ASGIApp, routes: Callable[[], list[BaseRoute]], router: object, application: object
    ) -> None:
        self._app = app
        self._routes = routes
        self._router = router
        self._application = application
        self._table: dict[tuple[str, str], CordRoute] = {}
        self._known: list[BaseRoute] = []

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer, or hand over, as a layer of Starlette's middleware stack."""
        return self.answer(scope, receive, send)

    def answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer, or hand over."""
        if scope["type"] != "http" or has_left(scope):
            return self._app(scope, receive, send)
        return self.answer_first(scope, receive, send)

    def answer_first(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer an HTTP request that has met nobody before, or hand it over."""
        routes, get = self._routes(), scope.get
        if get("fastapi.telemetry") is not None:
            return self._app(scope, receive, send)
        if routes != self._known:
            self._table, self._known = _table(routes), list(routes)
        path = get_route_path(scope) if get("root_path") else scope["path"]
        route = self._table.get((scope["method"], path))
        if route is None or route.fast is None:
            return self._app(scope, receive, send)
        if "router" not in scope:
            scope["router"] = self._router
        scope["app"], scope["route"], scope["endpoint"] = self._application, route, route.endpoint
        outer = get("path_params")
        scope["path_params"] = dict(outer) if outer else {}
        return route.fast.answer(self._app, scope, receive, send)


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
    if type(route).matches not in _PATH_ROUTES:
        # Of a route that looks at more than the path nothing is known before there is a request.
        return True
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    return route.matches(scope)[0] is Match.FULL
