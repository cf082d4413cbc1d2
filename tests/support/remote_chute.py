"""An application that answers as chutes do, for tests of what calls them: it needs nothing of the package."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Header, HTTPException, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel


class Query(BaseModel):
    query: str
    limit: int = 10


def remote_chute() -> FastAPI:
    """A fresh application; `app.state.seen` has every request id, `app.state.left` what clients left behind."""
    app = FastAPI(title="remote")
    app.state.seen = []
    app.state.left = []
    app.state.busy = 0

    @app.middleware("http")
    async def request_id(request: Request, call_next: Any) -> Response:
        identity = request.headers.get("X-Request-ID", "made-up")
        app.state.seen.append(identity)
        response = await call_next(request)
        response.headers["X-Request-ID"] = identity
        return response

    _values(app)
    _errors(app)
    _streams(app)
    return app


def _values(app: FastAPI) -> None:
    @app.post("/embed")
    async def embed(request: Request):
        return {"vector": [len((await request.json())["text"]), 0.5]}

    @app.post("/echo/json")
    async def echo(request: Request):
        return {"body": await request.json(), "type": request.headers["content-type"]}

    @app.post("/raw")
    async def raw(request: Request):
        return Response(await request.body(), media_type=request.headers["content-type"])

    @app.post("/search")
    async def search(body: Query):
        return {"found": body.query, "limit": body.limit}

    @app.get("/stats")
    async def stats(request: Request, limit: int = 1, tag: str = ""):
        return {"limit": limit, "tag": tag, "query": request.url.query}

    @app.get("/users/{user_id}")
    async def user(user_id: str):
        return {"user": user_id}

    @app.delete("/users/{user_id}")
    async def forget(user_id: str):
        return Response(status_code=204)

    @app.get("/files/{name:path}")
    async def file(name: str):
        return {"name": name}

    @app.post("/caption")
    async def caption(image: Annotated[list[UploadFile], File()], lang: Annotated[str, Form()] = "none"):
        read = [await each.read() for each in image]
        names = [f"{each.filename} {each.content_type}" for each in image]
        return {"names": names, "sizes": [len(each) for each in read], "lang": lang}

    @app.post("/form")
    async def form(request: Request):
        async with request.form() as given:
            return [
                [name, value if isinstance(value, str) else "file"] for name, value in given.multi_items()
            ]

    @app.post("/text")
    async def text():
        return PlainTextResponse("grüße")

    @app.post("/image")
    async def image():
        return Response(b"\x89PNG\x00", media_type="image/png")

    @app.post("/empty")
    async def empty():
        return Response(media_type="text/plain")

    @app.get("/who")
    async def who(user_agent: Annotated[str, Header()], authorization: Annotated[str, Header()] = "nobody"):
        return {"agent": user_agent, "key": authorization}

    @app.get("/readyz")
    async def readyz():
        return {"status": "ready"}

    @app.get("/health")
    async def health():
        return {"status": "healthy", "timestamp": "2024-01-01T12:00:00Z"}


def _errors(app: FastAPI) -> None:
    @app.post("/broken")
    async def broken(request: Request):
        identity = request.headers["X-Request-ID"]
        body = {"detail": "Internal Server Error", "request_id": identity}
        return Response(json.dumps(body), status_code=500, media_type="application/json")

    @app.get("/busy")
    @app.post("/busy")
    async def busy(times: int = 1, after: str = "2"):
        app.state.busy += 1
        if app.state.busy <= times:
            raise HTTPException(503, "All slots are taken", headers={"Retry-After": after} if after else None)
        return {"attempts": app.state.busy}

    @app.post("/proxy")
    async def proxy():
        page = "<html><head><title>502 Bad\nGateway</title></head><body><h1>nginx</h1></body></html>"
        return HTMLResponse(page, status_code=502)

    @app.post("/closed")
    async def closed():
        raise HTTPException(401, "No such key")

    @app.post("/moved")
    async def moved():
        return RedirectResponse("/embed")

    @app.post("/openai")
    async def openai():
        body = {"error": {"message": "The model does not exist", "code": 404}}
        return Response(json.dumps(body), status_code=404, media_type="application/json")

    @app.post("/liar")
    async def liar():
        return Response("{not json", media_type="application/json")


def _streams(app: FastAPI) -> None:
    @app.post("/tokens")
    async def tokens(request: Request):
        prompt = (await request.json())["prompt"]
        return _events([f'data: {{"token": "{word}"}}\n\n' for word in prompt.split()])

    @app.post("/events")
    async def events():
        return _events(
            [
                ": hello\n\n",
                "retry: 5\n\n",
                "event: note\r\ndata: a\r\n",
                "data: b\r\n\r\n",
                "data: [DONE]\n\n",
            ]
        )

    @app.post("/failing")
    async def failing(request: Request):
        body = {"detail": "Internal Server Error", "request_id": request.headers["X-Request-ID"]}
        return _events(["data: 1\n\n", f"event: error\ndata: {json.dumps(body)}\n\n"])

    @app.post("/story")
    async def story():
        async def pieces():
            for piece in ("once ", "grüße".encode()[:3], "grüße".encode()[3:], " end"):
                yield piece
                await asyncio.sleep(0.01)

        return StreamingResponse(pieces(), media_type="text/plain")

    @app.post("/blocks")
    async def blocks():
        return StreamingResponse(iter([b"\x00\x01", b"\xff"]), media_type="application/octet-stream")

    @app.post("/lines")
    async def lines():
        return StreamingResponse(
            iter(['{"n": 1, "s": "a\u2028b"}\n{"n"', ": 2}\n\n", "3"]), media_type="application/x-ndjson"
        )

    @app.post("/endless")
    async def endless():
        async def count():
            try:
                n = 0
                while True:
                    yield f"data: {n}\n\n"
                    n += 1
                    await asyncio.sleep(0.01)
            finally:
                app.state.left.append(n)

        return StreamingResponse(count(), media_type="text/event-stream")


def _events(chunks: list[str]) -> StreamingResponse:
    return StreamingResponse(iter(chunks), media_type="text/event-stream")
