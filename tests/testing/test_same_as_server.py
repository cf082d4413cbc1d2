"""What the test clients show is what a server shows: each probe runs against both."""

import json
import socket
import threading

import httpx2
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from chutes.testing import TestClient, WebSocketClosed, WebSocketRefused, wait_until


class Probed:
    """An application with a behaviour for each path, which keeps what it was told."""

    def __init__(self):
        self.told = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await getattr(self, scope["path"].strip("/").partition("/")[0] or "scope")(scope, receive, send)
        else:
            await getattr(self, "socket_" + scope["path"].strip("/"))(scope, receive, send)

    async def lifespan(self, scope, receive, send):
        self.told.append((await receive())["type"])
        scope["state"]["model"] = "loaded"
        await send({"type": "lifespan.startup.complete"})
        self.told.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, send, body, status=200, headers=()):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    async def scope(self, scope, receive, send):
        told = {name: value for name, value in scope.items() if name not in {"client", "server", "headers"}}
        told["raw_path"], told["query_string"] = told["raw_path"].decode(), told["query_string"].decode()
        told["headers"] = sorted(name.decode() for name, _ in scope["headers"])
        await self.answer(send, json.dumps(told, sort_keys=True).encode())

    async def echo(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await self.answer(send, body)

    async def refuse(self, scope, receive, send):
        await self.answer(send, b"too large", 413)

    async def fail(self, scope, receive, send):
        raise LookupError("before the answer")

    async def exit(self, scope, receive, send):
        raise SystemExit(3)

    async def nothing(self, scope, receive, send):
        pass

    async def no_content(self, scope, receive, send):
        await self.answer(send, b"", 204)

    async def break_off(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise LookupError("half way")

    async def too_short(self, scope, receive, send):
        await self.answer(send, b"ab", headers=[(b"content-length", b"5")])

    async def endless(self, scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part\n", "more_body": True})
        self.told.append((await receive())["type"])
        await send({"type": "http.response.body", "body": b"unheard"})
        self.told.append("sent without an error")

    async def socket_echo(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        self.told.append((message["code"], message.get("reason", "")))
        try:
            await send({"type": "websocket.send", "text": "unheard"})
        except OSError:
            self.told.append("an error")

    async def socket_close(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001, "reason": "bye"})

    async def socket_end(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    async def socket_fail(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        raise LookupError("in the middle")

    async def socket_close_first(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    async def socket_deny(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no key"})

    async def socket_fail_first(self, scope, receive, send):
        raise LookupError("at once")

    async def socket_nothing(self, scope, receive, send):
        await receive()


class OnTheNetwork:
    """The application behind a real server."""

    def __init__(self, app):
        self.app = app

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.server = uvicorn.Server(
            uvicorn.Config(self.app, log_config=None, lifespan="on", ws="websockets-sansio")
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})
        self.thread.start()
        wait_until(lambda: self.server.started)
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        self.ws = f"ws://127.0.0.1:{port}"
        return self

    def __exit__(self, *exc_info):
        self.http.close()
        self.server.should_exit = True
        self.thread.join()
        self.listener.close()

    def refused_with(self, path):
        with pytest.raises(InvalidStatus) as refused:
            connect(self.ws + path, proxy=None)
        response = refused.value.response
        return response.status_code, response.body

    def closed_with(self, path):
        with connect(self.ws + path, proxy=None) as ws, pytest.raises(ConnectionClosed) as closed:
            ws.recv()
        # Without a close frame, websockets leaves the standard's 1006 to its reader.
        return (closed.value.rcvd.code, closed.value.rcvd.reason) if closed.value.rcvd else (1006, "")

    def converse(self, path):
        with connect(self.ws + path, subprotocols=["v1"], proxy=None) as ws:
            ws.send("hi")
            heard = ws.recv(), ws.subprotocol
            ws.close(4002, "enough")
        return heard


class InProcess:
    """The application behind a test client."""

    def __init__(self, app):
        self.http = TestClient(app)

    def __enter__(self):
        self.http.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.http.__exit__(*exc_info)

    def refused_with(self, path):
        with pytest.raises(WebSocketRefused) as refused:
            self.http.websocket_connect(path).__enter__()
        return refused.value.status, refused.value.body

    def closed_with(self, path):
        with self.http.websocket_connect(path) as ws, pytest.raises(WebSocketClosed) as closed:
            ws.receive()
        return closed.value.code, closed.value.reason

    def converse(self, path):
        with self.http.websocket_connect(path, subprotocols=["v1"]) as ws:
            ws.send_text("hi")
            heard = ws.receive_text(), ws.subprotocol
            ws.close(4002, "enough")
        return heard


def fetch(client, method, path, **options):
    try:
        response = client.request(method, path, **options)
    except httpx2.RemoteProtocolError:
        return "broken off"
    return response.status_code, response.text, response.headers.get("content-type")


def leave_early(client):
    with client.stream("GET", "/endless") as response:
        return next(response.iter_lines())


def observe(place):
    app = Probed()
    seen = {}
    with place(app) as client:
        http = client.http
        for name, request in {
            "plain": ("GET", "/scope/a%20b/%C3%A9?x=1&y=%20"),
            "doubly quoted": ("GET", "/scope/100%2525"),
            "upload": ("POST", "/echo", {"content": b"x" * 300_000}),
            "chunked upload": ("POST", "/echo", {"content": iter([b"a", b"", b"b"])}),
            "expect": ("POST", "/echo", {"content": b"abc", "headers": {"Expect": "100-continue"}}),
            "head": ("HEAD", "/scope"),
            "refused upload": ("POST", "/refuse", {"content": b"x" * 300_000}),
            "no content": ("GET", "/no_content"),
            "fail": ("GET", "/fail"),
            "exit": ("GET", "/exit"),
            "nothing": ("GET", "/nothing"),
            "break off": ("GET", "/break_off"),
            "too short": ("GET", "/too_short"),
        }.items():
            method, path, *options = request
            seen[name] = fetch(http, method, path, **(options[0] if options else {}))
        seen["leave early"] = leave_early(http)
        wait_until(lambda: "sent without an error" in app.told)
        for path in ("/close_first", "/deny", "/fail_first", "/nothing"):
            seen["refused " + path] = client.refused_with(path)
        for path in ("/close", "/end", "/fail"):
            seen["closed " + path] = client.closed_with(path)
        seen["converse"] = client.converse("/echo")
        wait_until(lambda: "an error" in app.told)
    seen["told"] = app.told
    return seen


def test_each_probe_looks_the_same_in_process_and_on_the_network():
    here, there = observe(InProcess), observe(OnTheNetwork)
    # A refusal without a body of the application's gets one of the server's: each server words its own.
    for seen in (here, there):
        for path in ("/close_first", "/fail_first", "/nothing"):
            seen["refused " + path] = seen["refused " + path][0]
    assert here == there
    assert here["told"][0] == "lifespan.startup"
