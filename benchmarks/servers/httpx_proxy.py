"""A proxy as one would write it by hand: plain ASGI around an httpx2 client."""

from typing import Any

import httpx2

from benchmarks.servers.upstream import start_upstream

BASE = f"http://127.0.0.1:{start_upstream()}"
client = httpx2.AsyncClient(
    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64), timeout=None, trust_env=False
)


async def app(scope: dict, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    headers = [header for header in scope["headers"] if header[0] != b"host"]
    request = client.build_request(scope["method"], BASE + scope["path"], headers=headers, content=body)
    answer = await client.send(request, stream=True)
    kept = [
        (name.lower(), value) for name, value in answer.headers.raw if name.lower() != b"transfer-encoding"
    ]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": kept})
    async for part in answer.aiter_raw():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await answer.aclose()
    await send({"type": "http.response.body", "body": b""})
