"""Websockets as clients meet them."""

import asyncio
from typing import Annotated

import pytest
from fastapi import (
    Cookie,
    Depends,
    Header,
    HTTPException,
    Path,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.requests import HTTPConnection

from chutes.errors import DefinitionError
from chutes.testing import AsyncTestClient, TestClient, WebSocketClosed, WebSocketRefused, wait_until
from support.serving import new_chute


@pytest.fixture
def chute():
    return new_chute()


def with_socket(function, path="/talk"):
    chute = new_chute()
    chute.websocket(path)(function)
    return TestClient(chute)


def closed_by(session):
    with pytest.raises(WebSocketClosed) as caught:
        session.receive()
    return caught.value.code


async def by_hint(self, websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(self.config.name)


async def by_position(self, websocket):
    await websocket.accept()
    await websocket.send_text(self.config.name)


async def by_another_name(self, connection):
    await connection.accept()
    await connection.send_text(self.config.name)


async def positional_only(self, websocket: WebSocket, /):
    await websocket.accept()
    await websocket.send_text(self.config.name)


async def not_first(self, room: str = "r", *, websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(self.config.name)


async def with_rest(self, websocket, *args, **kwargs):
    await websocket.accept()
    await websocket.send_text(f"{self.config.name}{''.join(args)}{''.join(kwargs)}")


@pytest.mark.parametrize(
    "function", [by_hint, by_position, by_another_name, positional_only, not_first, with_rest]
)
def test_the_function_gets_the_chute_and_the_websocket(function):
    with with_socket(function) as client, client.websocket_connect("/talk") as session:
        assert session.receive_text() == "probe"


def user(token: Annotated[str, Query()] = "nobody"):
    return token.upper()


async def injected(
    self,
    websocket: WebSocket,
    room: int,
    user: Annotated[str, Depends(user)],
    *,
    limit: Annotated[int, Query(ge=1)] = 5,
    x_token: Annotated[str, Header()] = "",
    session: str | None = Cookie(None),
    plain: str = "p",
    connection: HTTPConnection = None,
):
    await websocket.accept()
    await websocket.send_json([room, user, limit, x_token, session, plain, connection.url.path])


def test_what_fastapi_injects_is_injected():
    with with_socket(injected, "/talk/{room}") as client:
        headers = {"X-Token": "x", "Cookie": "session=s"}
        url = "/talk/7?token=bob&limit=2&plain=q"
        with client.websocket_connect(url, headers=headers) as session:
            assert session.receive_json() == [7, "BOB", 2, "x", "s", "q", "/talk/7"]
        with client.websocket_connect("/talk/7") as session:
            assert session.receive_json() == [7, "NOBODY", 5, "", None, "p", "/talk/7"]


@pytest.mark.parametrize("url", ["/talk/x", "/talk/7?limit=0"])
def test_what_does_not_fit_is_refused(url):
    with with_socket(injected, "/talk/{room}") as client, pytest.raises(WebSocketRefused) as caught:
        client.websocket_connect(url).__enter__()
    assert caught.value.code == 1008 or caught.value.status in (403, 422)


def test_an_unknown_path_is_refused():
    with with_socket(by_hint) as client, pytest.raises(WebSocketRefused) as caught:
        client.websocket_connect("/nowhere").__enter__()
    assert caught.value.status in (403, 404)


def test_a_websocket_and_a_cord_may_share_a_path(chute):
    chute.websocket("/talk")(by_hint)

    @chute.cord("/talk", method="GET")
    async def talk(self):
        return "http"

    with TestClient(chute) as client:
        assert client.get("/talk").json() == "http"
        with client.websocket_connect("/talk") as session:
            assert session.receive_text() == "probe"


def test_the_references_chat_loop_ends_when_the_client_leaves(chute, caplog):
    ended = []

    @chute.websocket("/chat")
    async def chat(self, websocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text((await websocket.receive_text()).upper())
        except Exception as error:
            ended.append(type(error))
        finally:
            await websocket.close()
            ended.append("finally")

    with TestClient(chute) as client:
        with client.websocket_connect("/chat") as session:
            session.send_text("hello")
            assert session.receive_text() == "HELLO"
        wait_until(lambda: "finally" in ended)
    assert ended == [WebSocketDisconnect, "finally"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("error", "harmless"),
    [(ConnectionResetError("it left"), True), (RuntimeError("no way to close this: a bug"), False)],
)
async def test_only_a_client_that_left_makes_closing_harmless(error, harmless):
    ended = []

    async def run(self, websocket):
        await websocket.accept()
        try:
            await websocket.close()
        except RuntimeError as caught:
            ended.append(caught)
            return
        ended.append("closed")

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        if message["type"] == "websocket.close":
            raise error

    chute = new_chute()
    chute.websocket("/talk")(run)
    scope = {"type": "websocket", "path": "/talk", "headers": [], "query_string": b"", "subprotocols": []}
    await chute(scope, receive, send)
    assert ended == ["closed" if harmless else error]


def test_closing_twice_is_harmless_and_the_first_code_counts():
    async def run(self, websocket):
        await websocket.accept()
        await websocket.close(4001, "first")
        await websocket.close(4002)
        await websocket.close()

    with with_socket(run) as client, client.websocket_connect("/talk") as session:
        assert closed_by(session) == 4001


def test_a_function_that_returns_closes_the_websocket():
    with with_socket(by_hint) as client, client.websocket_connect("/talk") as session:
        session.receive_text()
        assert closed_by(session) == 1000


def test_a_function_that_never_accepts_refuses():
    async def run(self, websocket): ...

    with with_socket(run) as client, pytest.raises(WebSocketRefused):
        client.websocket_connect("/talk").__enter__()


def test_a_function_may_refuse_with_a_code():
    async def run(self, websocket):
        await websocket.close(4003)

    with with_socket(run) as client, pytest.raises(WebSocketRefused) as caught:
        client.websocket_connect("/talk").__enter__()
    assert caught.value.code == 4003


def test_a_client_that_leaves_is_a_usual_end(caplog):
    ended = []

    async def run(self, websocket):
        await websocket.accept()
        try:
            await websocket.receive_text()
        finally:
            ended.append(1)

    with with_socket(run) as client:
        with client.websocket_connect("/talk"):
            pass
        wait_until(lambda: ended)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    "error", [ValueError("secret"), SystemExit("secret"), asyncio.CancelledError("secret")]
)
def test_an_error_closes_with_1011_and_is_logged_once_with_the_users_frames(error, caplog):
    async def failing(self, websocket):
        await websocket.accept()
        raise error

    with with_socket(failing) as client:
        with client.websocket_connect("/talk") as session:
            assert closed_by(session) == 1011
        with client.websocket_connect("/talk") as session:
            assert closed_by(session) == 1011
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"The websocket /talk failed: {type(error).__name__}: secret"] * 2


def test_an_error_before_the_accept_refuses(caplog):
    async def failing(self, websocket):
        raise ValueError("secret")

    with with_socket(failing) as client, pytest.raises(WebSocketRefused) as caught:
        client.websocket_connect("/talk").__enter__()
    assert b"secret" not in caught.value.body
    assert "The websocket /talk failed: ValueError: secret" in caplog.text


def test_a_function_that_sends_before_the_accept_is_told_so(caplog):
    async def hasty(self, websocket):
        await websocket.send_text("hello")

    with with_socket(hasty) as client, pytest.raises(WebSocketRefused):
        client.websocket_connect("/talk").__enter__()
    assert (
        "The websocket /talk failed (write `await websocket.accept()` before it sends): RuntimeError"
        in caplog.text
    )


@pytest.mark.parametrize("expected", ["text", "bytes"])
def test_a_frame_of_the_wrong_kind_closes_with_1003_and_is_the_clients_error(expected, caplog):
    async def run(self, websocket):
        await websocket.accept()
        await getattr(websocket, f"receive_{expected}")()

    with with_socket(run) as client, client.websocket_connect("/talk") as session:
        if expected == "text":
            session.send_bytes(b"a")
        else:
            session.send_text("a")
        assert closed_by(session) == 1003
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("accepted", [True, False])
def test_a_websocket_exception_closes_with_its_code(accepted):
    async def run(self, websocket):
        if accepted:
            await websocket.accept()
        raise WebSocketException(4005, "reason")

    with with_socket(run) as client:
        if accepted:
            with client.websocket_connect("/talk") as session:
                assert closed_by(session) == 4005
        else:
            with pytest.raises(WebSocketRefused) as caught:
                client.websocket_connect("/talk").__enter__()
            assert caught.value.code == 4005


def test_an_http_exception_before_the_accept_is_the_answer():
    async def run(self, websocket):
        raise HTTPException(401, "Who are you?")

    with with_socket(run) as client, pytest.raises(WebSocketRefused) as caught:
        client.websocket_connect("/talk").__enter__()
    assert caught.value.status == 401
    assert b"Who are you?" in caught.value.body


@pytest.mark.parametrize("given", ["r-1", None])
def test_the_accept_has_the_request_id(chute, given):
    @chute.websocket("/talk")
    async def talk(self, websocket):
        await websocket.accept(headers=[(b"x-own", b"1")])
        await websocket.send_text(websocket.state.request_id)

    with TestClient(chute) as client:
        headers = {"X-Request-ID": given} if given else {}
        with client.websocket_connect("/talk", headers=headers) as session:
            identity = session.receive_text()
            assert session.headers["x-request-id"] == identity
            assert session.headers["x-own"] == "1"
    assert identity == given or (given is None and len(identity) == 32)


def test_subprotocols_json_and_bytes():
    async def run(self, websocket):
        await websocket.accept(subprotocol=websocket.scope["subprotocols"][0])
        await websocket.send_json(await websocket.receive_json())
        await websocket.send_bytes(await websocket.receive_bytes())

    with with_socket(run) as client, client.websocket_connect("/talk", subprotocols=["v2", "v1"]) as session:
        assert session.subprotocol == "v2"
        session.send_json({"a": 1})
        assert session.receive_json() == {"a": 1}
        session.send_bytes(b"\xff")
        assert session.receive_bytes() == b"\xff"


def test_a_websocket_written_while_the_chute_runs_is_served(chute):
    with TestClient(chute) as client:
        chute.websocket("/talk")(by_hint)
        with client.websocket_connect("/talk") as session:
            assert session.receive_text() == "probe"


async def test_many_sessions_share_the_chutes_state(chute):
    @chute.on_startup()
    async def start(self):
        self.rooms = set()

    @chute.websocket("/talk")
    async def talk(self, websocket):
        await websocket.accept()
        self.rooms.add(websocket)
        try:
            async for text in websocket.iter_text():
                await asyncio.gather(*(one.send_text(text) for one in self.rooms))
        finally:
            self.rooms.discard(websocket)

    async with (
        AsyncTestClient(chute) as client,
        client.websocket_connect("/talk") as one,
        client.websocket_connect("/talk") as other,
    ):
        while len(chute.rooms) < 2:
            await asyncio.sleep(0.001)
        await one.send_text("hello")
        assert [await one.receive_text(), await other.receive_text()] == ["hello", "hello"]


def test_a_dependency_with_yield_ends_with_the_session(chute):
    events = []

    async def session():
        yield "session"
        events.append("closed")

    @chute.websocket("/talk")
    async def talk(self, websocket, session: Annotated[str, Depends(session)]):
        await websocket.accept()
        events.append(session)

    with TestClient(chute) as client:
        with client.websocket_connect("/talk"):
            pass
        wait_until(lambda: len(events) == 2)
    assert events == ["session", "closed"]


def test_a_parameter_that_cannot_be_filled_is_refused_with_the_sockets_name(chute):
    class Odd: ...

    @chute.websocket("/talk/{room}")
    async def talk(self, websocket, room: Annotated[Odd, Path()]): ...

    with pytest.raises(DefinitionError, match="Websocket 'talk' cannot be served"):
        chute.app  # noqa: B018 - reading it is the test
