"""Each line that is logged for a request has its id, wherever the code runs that logs it."""

import asyncio
import logging
import threading

import pytest
from fastapi import BackgroundTasks, Depends, Request
from fastapi.responses import JSONResponse

from chutes.chute import Batch
from chutes.serve.logs import current_request_id
from chutes.testing import TestClient, wait_until
from support.serving import new_chute

logger = logging.getLogger("chutes.acme.ids")


class Lines(logging.Handler):
    """(logger, message) → the ids under which it was logged."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def emit(self, record):
        self.found.setdefault((record.name, record.getMessage().split(":")[0]), []).append(
            current_request_id.get()
        )

    def of(self, message):
        return next((ids for (_, said), ids in self.found.items() if said == message), [])


@pytest.fixture
def lines():
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


def depended():
    logger.info("a dependency")


async def later():
    logger.info("in the background")


def later_in_a_thread():
    logger.info("in the background, in a thread")


class OwnError(Exception):
    pass


@pytest.fixture(params=["on", "off"])
def chute(request, monkeypatch):
    monkeypatch.setenv("CHUTES_FAST_PATH", request.param)
    chute = new_chute(concurrency=4)
    answered = chute.answered = threading.Event()

    @chute.cord("/call")
    async def call(self, request: Request) -> str:
        logger.info("a call")

        async def inner():
            logger.info("a task of a call")

        await asyncio.gather(inner(), inner())
        await asyncio.to_thread(logger.info, "a thread of a call")
        return "ok"

    @chute.cord("/thread")
    def thread(self) -> str:
        logger.info("a call in a thread")
        return "ok"

    @chute.cord("/background")
    async def background(self, tasks: BackgroundTasks) -> str:
        tasks.add_task(later)
        tasks.add_task(later_in_a_thread)
        return "ok"

    @chute.cord("/depends")
    async def depends(self, given: None = Depends(depended)) -> str:
        return "ok"

    @chute.cord("/stream", stream=True)
    async def stream(self):
        try:
            yield "a"
            logger.info("a stream")
        finally:
            logger.info("the end of a stream")

    @chute.cord("/sync-stream", stream=True)
    def sync_stream(self):
        try:
            yield "a"
            logger.info("a stream in a thread")
        finally:
            logger.info("the end of a stream in a thread")

    @chute.cord("/fail")
    async def fail(self) -> str:
        raise OwnError

    @chute.cord("/slow", timeout=1)
    def slow(self) -> str:
        answered.wait(30)
        logger.info("after the deadline")
        return "late"

    @chute.cord("/batch", batch=Batch(max_size=4))
    async def batch(self, value: list[int]) -> list[int]:
        logger.info("a batch")
        return value

    @chute.cord("/batch-in-a-thread", batch=Batch(max_size=4))
    def batch_in_a_thread(self, value: list[int]) -> list[int]:
        logger.info("a batch in a thread")
        return value

    @chute.websocket("/talk")
    async def talk(self, websocket):
        await websocket.accept()
        logger.info("a websocket")
        async with self.slot():
            await websocket.send_text(await websocket.receive_text())
        logger.info("the end of a websocket")

    @chute.app.exception_handler(OwnError)
    async def handle(request, error):
        logger.info("a handler of errors")
        return JSONResponse({}, 418)

    @chute.app.get("/own")
    def own():
        logger.info("a route of the user's")

    return chute


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("/call", ["a call", "a task of a call", "a thread of a call"]),
        ("/thread", ["a call in a thread"]),
        ("/background", ["in the background", "in the background, in a thread"]),
        ("/depends", ["a dependency"]),
        ("/stream", ["a stream", "the end of a stream"]),
        ("/sync-stream", ["a stream in a thread", "the end of a stream in a thread"]),
        ("/fail", ["a handler of errors"]),
        ("/batch", ["a batch"]),
        ("/batch-in-a-thread", ["a batch in a thread"]),
    ],
)
def test_a_line_has_the_id_of_its_request(chute, lines, path, messages):
    with TestClient(chute) as client:
        for name in ("one", "two"):
            client.post(path, json={"value": 1}, headers={"x-request-id": name})
    for message in messages:
        assert sorted(set(lines.of(message))) == ["one", "two"], message


def test_a_route_of_the_users_has_it_too(chute, lines):
    with TestClient(chute) as client:
        client.get("/own", headers={"x-request-id": "one"})
    assert lines.of("a route of the user's") == ["one"]


def test_a_websocket_has_it_for_its_whole_life(chute, lines):
    with TestClient(chute) as client:
        with client.websocket_connect("/talk", headers={"x-request-id": "one"}) as socket:
            socket.send_text("a")
            assert socket.receive_text() == "a"
        wait_until(lambda: lines.of("the end of a websocket"))
    assert lines.of("a websocket") == lines.of("the end of a websocket") == ["one"]


def test_a_call_that_goes_on_after_its_deadline_keeps_it(chute, lines):
    with TestClient(chute) as client:
        assert client.post("/slow", headers={"x-request-id": "one"}).status_code == 504
        chute.answered.set()
        client.post("/call", headers={"x-request-id": "two"})
        wait_until(lambda: any("ended" in said for _, said in lines.found))
    assert lines.of("after the deadline") == ["one"]
    (ids,) = [ids for (_, said), ids in lines.found.items() if "ended" in said]
    assert ids == ["one"]


def test_what_no_request_asked_for_has_none(chute, lines):
    @chute.on_startup()
    async def start(self):
        logger.info("a hook")

        async def beat():
            logger.info("a background task of the chute")
            await asyncio.sleep(60)

        self.beat = asyncio.create_task(beat())

    with TestClient(chute) as client:
        client.post("/call", headers={"x-request-id": "one"})
    assert lines.of("a hook") == lines.of("a background task of the chute") == [None]
