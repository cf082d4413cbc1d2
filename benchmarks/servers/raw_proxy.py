"""The limit of a proxy: plain ASGI around the client that passthrough cords have, and nothing else."""

from typing import Any

import httpcore2

from benchmarks.servers.upstream import start_upstream

PORT = start_upstream()
HOST = (b"host", b"127.0.0.1:%d" % PORT)
pool = httpcore2.AsyncConnectionPool(max_connections=None, max_keepalive_connections=64, keepalive_expiry=3.0)


async def app(scope: dict, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    url = httpcore2.URL(scheme=b"http", host=b"127.0.0.1", port=PORT, target=scope["raw_path"])
    headers = [HOST, *(header for header in scope["headers"] if header[0] != b"host")]
    answer = await pool.handle_async_request(
        httpcore2.Request(scope["method"], url, headers=headers, content=body)
    )
    kept = [(name.lower(), value) for name, value in answer.headers if name.lower() != b"transfer-encoding"]
    await send({"type": "http.response.start", "status": answer.status, "headers": kept})
    try:
        async for part in answer.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    finally:
        await answer.aclose()
    await send({"type": "http.response.body", "body": b""})
