"""Websockets through the test clients."""

import asyncio
import base64
import contextlib
import json

import httpx2
import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from chutes.errors import ChutesError
from chutes.testing import (
    AsyncTestClient,
    TestClient,
    WebSocketClosed,
    WebSocketRefused,
    async_wait_until,
    wait_until,
)


class Chat:
    """A FastAPI application with a websocket for each behaviour that a client can meet."""

    def __init__(self):
        self.app = FastAPI()
        self.left = []
        for name in (
            "echo",
            "repeat",
            "choose",
            "deny",
            "close_first",
            "leave",
            "fail",
            "fail_first",
            "nothing",
            "bye",
        ):
            self.app.websocket(f"/{name}")(getattr(self, name))

    async def echo(self, socket: WebSocket):
        await socket.accept()
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message["code"], message["reason"])
                if "text" in message:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        except WebSocketDisconnect as left:
            self.left.append((left.code, left.reason))

    async def repeat(self, socket: WebSocket, times: int = 3):
        await socket.accept()
        for number in range(times):
            await socket.send_json({"number": number})
        await socket.close(reason="done")

    async def choose(self, socket: WebSocket):
        told = {
            "subprotocols": socket.scope["subprotocols"],
            "scheme": socket.scope["scheme"],
            "path": socket.scope["path"],
            "client": socket.client.host,
            "query": dict(socket.query_params),
            "cookies": socket.cookies,
            "headers": dict(socket.headers),
        }
        await socket.accept(
            subprotocol="v2", headers=[(b"X-Model", b"m"), (b"Set-Cookie", b"seen=1; Path=/")]
        )
        await socket.send_json(told)
        await socket.close()

    async def deny(self, socket: WebSocket):
        await socket.send_denial_response(
            JSONResponse({"detail": "no key"}, 401, {"WWW-Authenticate": "Bearer"})
        )

    async def close_first(self, socket: WebSocket):
        await socket.close(1008, "no key")

    async def leave(self, socket: WebSocket):
        await socket.accept()
        await socket.send_text("last words")

    async def fail(self, socket: WebSocket):
        await socket.accept()
        raise LookupError("in the middle")

    async def fail_first(self, socket: WebSocket):
        raise LookupError("at once")

    async def nothing(self, socket: WebSocket):
        pass

    async def bye(self, socket: WebSocket):
        await socket.accept()
        await socket.close(4001, "bye")


@pytest.fixture
def chat():
    return Chat()


@pytest.fixture
def client(chat):
    with TestClient(chat.app) as client:
        yield client


@pytest.fixture
async def async_client(chat):
    async with AsyncTestClient(chat.app) as client:
        yield client


def test_text_bytes_and_json_go_both_ways(client):
    with client.websocket_connect("/echo") as ws:
        ws.send_text("hé")
        assert ws.receive_text() == "hé"
        ws.send_bytes(b"\x00\x01")
        assert ws.receive_bytes() == b"\x00\x01"
        ws.send_json({"é": [1, None]})
        assert ws.receive_json() == {"é": [1, None]}
        ws.send_json([1], mode="binary")
        assert ws.receive() == b"[1]"


async def test_text_bytes_and_json_go_both_ways_async(async_client):
    async with async_client.websocket_connect("/echo") as ws:
        await ws.send_text("hé")
        assert await ws.receive_text() == "hé"
        await ws.send_bytes(b"\x00\x01")
        assert await ws.receive_bytes() == b"\x00\x01"
        await ws.send_json({"é": [1, None]})
        assert await ws.receive_json() == {"é": [1, None]}
        await ws.send_json([1], mode="binary")
        assert await ws.receive() == b"[1]"


def test_the_wrong_kind_of_message_says_what_to_call(client):
    with client.websocket_connect("/echo") as ws:
        ws.send_bytes(b"123")
        with pytest.raises(TypeError, match=r"Received 3 bytes, not text. Use receive_bytes\(\)"):
            ws.receive_text()
        ws.send_text("abc")
        with pytest.raises(TypeError, match=r"Received the text 'abc', not bytes. Use receive_text\(\)"):
            ws.receive_bytes()


def test_the_handshake_carries_what_the_client_sends_with_each_request(chat):
    with TestClient(chat.app, headers={"X-Key": "k"}, cookies={"a": "b"}, auth=("user", "pass")) as client:
        options = {"subprotocols": ["v1", "v2"], "params": {"q": "1"}, "headers": {"X-More": "m"}}
        with client.websocket_connect("/choose", **options) as ws:
            told = ws.receive_json()
            assert ws.subprotocol == "v2"
            assert ws.headers["x-model"] == "m"
        assert client.cookies["seen"] == "1"
    headers = told.pop("headers")
    assert told == {
        "subprotocols": ["v1", "v2"],
        "scheme": "ws",
        "path": "/choose",
        "client": "127.0.0.1",
        "query": {"q": "1"},
        "cookies": {"a": "b"},
    }
    assert headers["host"] == "testserver"
    assert (headers["x-key"], headers["x-more"]) == ("k", "m")
    assert (headers["connection"], headers["upgrade"]) == ("Upgrade", "websocket")
    assert headers["authorization"] == "Basic " + base64.b64encode(b"user:pass").decode()


def test_a_whole_url_may_be_given(client):
    with client.websocket_connect("wss://testserver/choose") as ws:
        assert ws.receive_json()["scheme"] == "wss"


async def test_the_async_client_keeps_cookies_and_subprotocol(async_client):
    async with async_client.websocket_connect("/choose", subprotocols=["v2"]) as ws:
        assert ws.subprotocol == "v2"
    assert async_client.cookies["seen"] == "1"


def test_the_applications_close_is_raised_after_its_messages(client):
    with client.websocket_connect("/repeat") as ws:
        assert [ws.receive_json()["number"] for _ in range(3)] == [0, 1, 2]
        for _ in range(2):
            with pytest.raises(
                WebSocketClosed, match=r"application closed .* with code 1000: done"
            ) as raised:
                ws.receive()
            assert (raised.value.code, raised.value.reason) == (1000, "done")
        with pytest.raises(WebSocketClosed):
            ws.send_text("too late")
    assert issubclass(WebSocketClosed, ChutesError)


def test_iterating_ends_at_an_orderly_close(client):
    with client.websocket_connect("/repeat?times=2") as ws:
        assert list(ws) == ['{"number":0}', '{"number":1}']


async def test_iterating_ends_at_an_orderly_close_async(async_client):
    async with async_client.websocket_connect("/repeat?times=2") as ws:
        assert [message async for message in ws] == ['{"number":0}', '{"number":1}']


def test_iterating_raises_any_other_close(client):
    with client.websocket_connect("/bye") as ws, pytest.raises(WebSocketClosed, match="4001: bye"):
        list(ws)


async def test_iterating_raises_any_other_close_async(async_client):
    async with async_client.websocket_connect("/bye") as ws:
        with pytest.raises(WebSocketClosed, match="4001: bye"):
            [message async for message in ws]


def test_the_application_is_told_the_clients_code(chat, client):
    with client.websocket_connect("/echo") as ws:
        ws.close(4002, "enough")
        ws.close(4003, "twice means nothing")
        with pytest.raises(WebSocketClosed, match=r"client closed .* 4002: enough"):
            ws.receive()
    wait_until(lambda: chat.left == [(4002, "enough")])


def test_leaving_the_block_closes_with_1000(chat, client):
    with client.websocket_connect("/echo"):
        pass
    wait_until(lambda: chat.left == [(1000, "")])


def test_leaving_the_block_by_an_exception_closes_with_1011(chat, client):
    with pytest.raises(LookupError), client.websocket_connect("/echo"):
        raise LookupError
    wait_until(lambda: chat.left == [(1011, "")])


async def test_leaving_the_block_tells_the_application_async(chat, async_client):
    async with async_client.websocket_connect("/echo"):
        pass
    await async_wait_until(lambda: chat.left == [(1000, "")])
    with pytest.raises(LookupError):
        async with async_client.websocket_connect("/echo"):
            raise LookupError
    await async_wait_until(lambda: chat.left == [(1000, ""), (1011, "")])


def test_leaving_the_client_closes_its_websockets(chat):
    with TestClient(chat.app) as client:
        context = client.websocket_connect("/echo")
        context.__enter__()
    assert chat.left == [(1001, "")]
    context.__exit__(None, None, None)


def test_messages_sent_before_the_close_arrive_first():
    received = []

    async def record(scope, receive, send):
        if scope["type"] != "websocket":
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            received.append(message.get("text"))

    with TestClient(record) as client, client.websocket_connect("/") as ws:
        for number in range(3):
            ws.send_text(str(number))
    assert received == [None, "0", "1", "2"]


def test_a_close_before_the_accept_is_a_refusal_with_403_and_the_code(client):
    with pytest.raises(
        WebSocketRefused, match=r"'/close_first' with status 403 \(close code 1008: no key\)"
    ) as raised:
        client.websocket_connect("/close_first").__enter__()
    assert (raised.value.status, raised.value.code) == (403, 1008)


def test_a_denial_response_is_a_refusal_with_its_answer(client):
    with pytest.raises(WebSocketRefused, match="with status 401") as raised:
        client.websocket_connect("/deny").__enter__()
    assert (raised.value.status, raised.value.code) == (401, None)
    assert raised.value.headers["www-authenticate"] == "Bearer"
    assert json.loads(raised.value.body) == {"detail": "no key"}


async def test_a_denial_response_is_a_refusal_with_its_answer_async(async_client):
    with pytest.raises(WebSocketRefused, match="with status 401"):
        async with async_client.websocket_connect("/deny"):
            pass


def test_an_unknown_path_is_a_refusal(client):
    with pytest.raises(WebSocketRefused) as raised:
        client.websocket_connect("/unknown").__enter__()
    assert raised.value.status == 403


@pytest.mark.parametrize("path", ["/fail_first", "/nothing"])
def test_an_application_that_does_not_answer_the_handshake_is_a_refusal_with_500(client, path):
    with pytest.raises(WebSocketRefused) as raised:
        client.websocket_connect(path).__enter__()
    assert raised.value.status == 500


@pytest.mark.parametrize(("path", "messages"), [("/leave", ["last words"]), ("/fail", [])])
def test_an_application_that_ends_without_closing_is_an_abnormal_close(client, path, messages):
    with client.websocket_connect(path) as ws:
        assert [ws.receive_text() for _ in messages] == messages
        with pytest.raises(WebSocketClosed) as raised:
            ws.receive()
    assert raised.value.code == 1006


def test_with_raise_errors_the_applications_exception_is_raised(chat):
    with TestClient(chat.app, raise_errors=True) as client:
        with pytest.raises(LookupError, match="at once"):
            client.websocket_connect("/fail_first").__enter__()
        with client.websocket_connect("/fail") as ws, pytest.raises(LookupError, match="in the middle"):
            ws.receive()


def test_a_silent_application_times_out(chat):
    async def silent(scope, receive, send):
        if scope["type"] == "websocket":
            await asyncio.Event().wait()

    with (
        TestClient(silent, shutdown_grace=0) as client,
        pytest.raises(httpx2.ReadTimeout, match="the handshake for"),
    ):
        client.websocket_connect("/", timeout=0.01).__enter__()
    with (
        TestClient(chat.app, timeout=0.01) as client,
        client.websocket_connect("/echo") as ws,
        pytest.raises(httpx2.ReadTimeout, match=r"has sent nothing for 0\.01 s"),
    ):
        ws.receive()


async def test_a_fast_sender_waits_for_its_slow_reader():
    sent = 0
    stopped = asyncio.Event()

    async def flood(scope, receive, send):
        nonlocal sent
        if scope["type"] != "websocket":
            return
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "x"})
                sent += 1
        except OSError:
            stopped.set()
            raise

    async with AsyncTestClient(flood) as client:
        async with client.websocket_connect("/") as ws:
            for received in range(1, 50):
                await ws.receive_text()
                await asyncio.sleep(0)
                assert sent <= received + 5
        await asyncio.wait_for(stopped.wait(), 1)


async def test_a_sender_whose_messages_nobody_takes_times_out():
    async def deaf(scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await asyncio.sleep(10)

    async with (
        AsyncTestClient(deaf, timeout=httpx2.Timeout(10, write=0.05), shutdown_grace=0) as client,
        client.websocket_connect("/") as ws,
    ):
        await ws.send_bytes(bytes(2_000_000))
        with pytest.raises(httpx2.WriteTimeout, match=r"has received nothing for 0\.05 s"):
            await ws.send_bytes(b"one more")


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([{"type": "websocket.send", "text": "x"}], "but got 'websocket.send'"),
        ([{"type": "websocket.accept"}, {"type": "websocket.accept"}], "but got 'websocket.accept'"),
        (
            [{"type": "websocket.http.response.start", "status": 400}, {"type": "websocket.accept"}],
            "but got 'websocket.accept'",
        ),
        (
            [{"type": "websocket.accept"}, {"type": "websocket.close"}, {"type": "websocket.close"}],
            "closed already",
        ),
    ],
)
def test_messages_out_of_order_are_refused(messages, complaint):
    complaints = []

    async def wrong(scope, receive, send):
        if scope["type"] != "websocket":
            return
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            complaints.append(str(error))

    with TestClient(wrong) as client:
        with contextlib.suppress(WebSocketRefused):
            client.websocket_connect("/").__enter__()
        wait_until(lambda: complaints)
    assert complaint in complaints[0]


def test_a_server_pushes_while_the_client_sends_from_many_threads(client):
    with client.websocket_connect("/echo") as ws:
        for number in range(100):
            ws.send_text(str(number))
            assert ws.receive_text() == str(number)
