"""The same few cords behind every kind of handler and middleware, and calls to compare."""

from fastapi import HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from serve.fast_path.asgi import JSON, MARK, Call
from serve.fast_path.twins import shown, twins


class Item(BaseModel):
    text: str = "default"
    count: int = 1


class OwnError(Exception):
    pass


async def run(self, item: Item):
    self.seen.append(shown(item))
    if item.text == "own":
        raise OwnError("secret")
    if item.text == "http":
        raise HTTPException(409, "no")
    if item.text == "other":
        raise KeyError("secret")
    return {"text": item.text, "count": item.count}


async def look(self, text: str = "a", count: int = 1):
    self.seen.append((text, count))
    return [text, count]


async def stream(self, item: Item):
    for number in range(item.count):
        yield f"{item.text} {number}\n"


def cords(chute, **options):
    chute.cord("/run", **options)(run)
    chute.cord("/look", method="GET", **options)(look)
    chute.cord("/stream", stream=True, **options)(stream)


BODIES = (
    b'{"text": "a", "count": 2}', b"{}", b'{"count": "x"}', b"{", b"null", b"", b'{"text": "own"}', b'{"text": "http"}',
    b'{"text": "other"}',
)  # fmt: skip
GOOD = Call(chunks=(b'{"text": "a", "count": 2}',))
CALLS = (
    *(Call(chunks=(body,)) for body in BODIES),
    Call(chunks=(b'{"te', b"", b'xt": "a"}')),
    Call(chunks=(b"{}",), headers=(JSON,)),
    Call(chunks=(b"{}",), headers=(MARK,)),
    Call(chunks=(b"{}",), headers=(MARK, (b"content-type", b"text/plain"))),
    Call(
        chunks=(b"{}",),
        headers=(MARK, JSON, (b"origin", b"https://example.org"), (b"accept-encoding", b"gzip")),
    ),
    Call(path="/run/"),
    Call(path="/RUN"),
    Call(path="/run\n"),
    Call(path="//run"),
    Call(path="/"),
    Call(path=""),
    Call(path="/nowhere"),
    Call(path="/livez", method="GET"),
    Call(method="GET"),
    Call(method="HEAD"),
    Call(method="OPTIONS"),
    Call(method="PUT"),
    Call(method="post"),
    Call(
        method="OPTIONS",
        headers=(MARK, (b"origin", b"https://a.b"), (b"access-control-request-method", b"POST")),
    ),
    Call(path="/look", method="GET"),
    Call(path="/look", method="GET", query=b"text=b&count=3"),
    Call(path="/look", method="GET", query=b"count=x"),
    Call(path="/look", method="HEAD"),
    Call(path="/look"),
    Call(path="/look/", method="GET", query=b"text=b"),
    Call(path="/stream", chunks=(b'{"count": 3}',)),
    Call(path="/stream", chunks=(b'{"count": 0}',)),
    Call(path="/stream", chunks=(b'{"count": 300, "text": "long enough to be worth a compression"}',)),
    Call(http_version="1.0"),
    Call(http_version="2"),
    *(Call(leaves=when) for when in ("before", "within", "after")),
)


async def compare_all(define, short=None, calls=CALLS, **options):
    """Compares every call; `short` says whether a good one must take the short way."""
    async with twins(define, **options) as both:
        for call in calls:
            await both.compare(call)
        await both.compare(GOOD, short=short)


def with_handlers(chute):
    cords(chute)
    app = chute.app

    @app.exception_handler(OwnError)
    async def own(request: Request, error: OwnError):
        chute.seen.append(
            (await request.body(), request.scope["endpoint"].__name__, sorted(request.headers.items()))
        )
        return JSONResponse({"own": str(error)}, 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException):
        return PlainTextResponse(f"{error.status_code} {request.url.path}", error.status_code, error.headers)

    @app.exception_handler(500)
    async def any_other(request: Request, error: Exception):
        chute.seen.append(repr(error))
        return PlainTextResponse("any other", 500)


class Watching:
    """Notes all that passes, and the scope before and after."""

    def __init__(self, app, seen):
        self.app, self.seen = app, seen

    async def __call__(self, scope, receive, send):
        async def received():
            message = await receive()
            self.seen.append(dict(message))
            return message

        async def sent(message):
            self.seen.append(message["type"])
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.seen.append(
            sorted(key for key in scope if isinstance(key, str) and not key.startswith("chutes"))
        )
        try:
            await self.app(scope, received, sent)
        except Exception as error:
            self.seen.append(repr(error))
            raise
        finally:
            route = scope.get("route")
            self.seen.append(
                (
                    getattr(route, "path", None),
                    scope.get("path_params"),
                    getattr(scope.get("endpoint"), "__name__", None),
                )
            )


class Reading:
    """Reads the whole body first, and gives another one on."""

    def __init__(self, app, change):
        self.app, self.change = app, change

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        changed = [{"type": "http.request", "body": self.change(body), "more_body": False}]

        async def again():
            return changed.pop() if changed else await receive()

        await self.app(scope, again, send)


class Buffering:
    """Sends nothing before the answer is whole, and with another status."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        messages = []

        async def keep(message):
            messages.append(message)

        try:
            await self.app(scope, receive, keep if scope["type"] == "http" else send)
        finally:
            for message in messages:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-kept", b"%d" % len(messages))]
                    message["status"] += message["status"] == 200
                await send(message)


class Breaking:
    """Fails in the middle of what passes."""

    def __init__(self, app, where, error):
        self.app, self.where, self.error = app, where, error

    async def __call__(self, scope, receive, send):
        async def received():
            message = await receive()
            if self.where == message["type"]:
                raise self.error
            return message

        async def sent(message):
            if self.where == message["type"]:
                raise self.error
            await send(message)

        await self.app(scope, received, sent)


class Rewriting:
    """Sends calls elsewhere, and changes their headers."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith("/nowhere"):
            scope = {**scope, "path": "/run", "raw_path": b"/run", "headers": [JSON]}
        await self.app(scope, receive, send)


def http_middleware(chute):
    cords(chute)

    @chute.middleware("http")
    async def around(request: Request, call_next):
        body = await request.body()
        chute.seen.append(body)
        response = await call_next(request)
        response.headers["x-seen"] = str(len(body))
        chute.seen.append(response.status_code)
        return response


def http_middleware_that_only_passes(chute):
    with_handlers(chute)

    @chute.middleware("http")
    async def around(request: Request, call_next):
        request.state.from_middleware = 1
        return await call_next(request)


def http_middleware_that_answers(chute):
    cords(chute)

    @chute.middleware("http")
    async def around(request: Request, call_next):
        if request.url.path == "/look":
            return PlainTextResponse("from the middleware")
        try:
            return await call_next(request)
        except KeyError as error:
            return PlainTextResponse(f"caught {error!r}")


def within(*layers, define=cords):
    """The cords behind layers of middleware, the last one outermost."""

    def defined(chute):
        define(chute)
        for kind, options in layers:
            chute.app.add_middleware(
                kind, **{name: value(chute) if name == "seen" else value for name, value in options.items()}
            )

    return defined


def seen(chute):
    return chute.seen


STACKS = {
    "bare": cords,
    "handlers": with_handlers,
    "watched": within((Watching, {"seen": seen})),
    "watched, with handlers": within((Watching, {"seen": seen}), define=with_handlers),
    "read": within((Reading, {"change": bytes})),
    "changed": within((Reading, {"change": lambda body: b'{"text": "changed"}'}), define=with_handlers),
    "emptied": within((Reading, {"change": lambda body: b""})),
    "buffered": within((Buffering, {})),
    "buffered, with handlers": within((Buffering, {}), (Watching, {"seen": seen}), define=with_handlers),
    "rewritten": within((Rewriting, {}), (Watching, {"seen": seen})),
    "compressed": within((GZipMiddleware, {"minimum_size": 10})),
    "shared": within((CORSMiddleware, {"allow_origins": ["*"], "allow_credentials": True})),
    "all": within(
        (GZipMiddleware, {"minimum_size": 10}), (CORSMiddleware, {"allow_origins": ["*"]}), (Watching, {"seen": seen}), define=with_handlers
    ),
    "http": http_middleware,
    "http that only passes": http_middleware_that_only_passes,
    "http that answers": http_middleware_that_answers,
    "http, compressed": within((GZipMiddleware, {"minimum_size": 10}), define=http_middleware),
    **{
        f"breaking {where} with {type(error).__name__}": within((Breaking, {"where": where, "error": error}), define=with_handlers)
        for where in ("http.request", "http.response.start", "http.response.body", "http.disconnect")
        for error in (OwnError("from middleware"), HTTPException(411, "from middleware"), ValueError("from middleware"))
    },
}  # fmt: skip
