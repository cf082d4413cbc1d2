"""Behind a proxy, whose headers say who asks, and how."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

__all__ = ["behind_proxies"]

_NAMES = (b"x-forwarded-for", b"x-forwarded-proto")


def behind_proxies(app: ASGIApp, trusted: list[str] | str) -> ASGIApp:
    """`app` that sees the client and the scheme which a proxy named; a request that names none pays for nothing.

    Args:
        app: what answers.
        trusted: addresses of proxies that may say so, as uvicorn takes them.
    """
    reading: ASGIApp = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type,assignment] # uvicorn's own types of ASGI

    def answer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        for name, _ in scope.get("headers", ()):
            if name in _NAMES:
                return reading(scope, receive, send)
        return app(scope, receive, send)

    return answer
