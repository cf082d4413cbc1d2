"""Warm-up calls: one real call of each cord with an example, before the chute is ready."""

import asyncio
import dataclasses
import logging
import threading
from typing import Annotated

import pytest
from fastapi import Depends, HTTPException, Request, UploadFile
from pydantic import BaseModel, Field

from chutes.chute.batch import Batch
from chutes.errors import StartupError
from chutes.serve.app import ServedChute
from chutes.serve.lifecycle import State
from chutes.settings import Settings
from chutes.testing import AsyncTestClient, TestClient
from support.serving import new_chute


class Prompt(BaseModel):
    prompt: str
    limit: int = Field(default=3, alias="maxTokens")


@dataclasses.dataclass
class Query:
    text: str
    tags: list[str]
    exact: bool = True
    note: str | None = None


Picture = Annotated[UploadFile, "with a caption"]


@pytest.fixture
def chute():
    return new_chute()


def started(chute):
    """What was called by the time at which the chute was ready."""
    with TestClient(chute) as client:
        assert client.get("/readyz").status_code == 200
        return list(chute.calls)


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (Prompt(prompt="hello"), ("hello", 3)),
        (Prompt(prompt="hello", maxTokens=9), ("hello", 9)),
        ({"prompt": "hi", "maxTokens": 1}, ("hi", 1)),
    ],
    ids=["model", "alias", "dict"],
)
@pytest.mark.parametrize("parameter", ["warmup", "minimal_input_schema"])
def test_the_example_is_what_the_cord_is_called_with(chute, parameter, example, expected):
    chute.calls = []

    @chute.cord("/run", **{parameter: example})
    async def run(self, given: Prompt):
        self.calls.append((given.prompt, given.limit))

    assert started(chute) == [expected]


def test_fields_by_name_get_the_values_of_a_dataclass(chute):
    chute.calls = []

    @chute.cord("/run", minimal_input_schema=Query("a", ["x", "y"]))
    def run(self, text: str, tags: list[str], exact: bool = False):
        assert threading.current_thread() is not threading.main_thread()
        self.calls.append((text, tags, exact))

    assert started(chute) == [("a", ["x", "y"], True)]


def test_a_query_is_made_of_the_arguments(chute):
    chute.calls = []

    @chute.cord("/run", method="GET", warmup=Query("a b&c", ["x", "y"]))
    async def run(self, request: Request, text: str, tags: list[str], exact: bool = False):
        self.calls.append((text, request.query_params.getlist("tags"), exact))

    assert started(chute) == [("a b&c", ["x", "y"], True)]


def test_a_cord_without_parameters_is_called_with_an_empty_dict(chute):
    chute.calls = []

    @chute.cord("/run", warmup={})
    async def run(self):
        self.calls.append("called")

    assert started(chute) == ["called"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"warmup": False, "minimal_input_schema": Prompt(prompt="hello")},
        {"minimal_input_schema": Prompt},
        {"minimal_input_schema": {"type": "object", "properties": {"prompt": {"type": "string"}}}},
        {"minimal_input_schema": {"type": "object"}},
        {"minimal_input_schema": {"$ref": "#/x"}},
    ],
    ids=["nothing", "False", "type", "schema", "short schema", "reference"],
)
def test_without_an_example_nothing_is_called(chute, options):
    chute.calls = []

    @chute.cord("/run", **options)
    async def run(self, prompt: str = ""):
        self.calls.append(prompt)

    assert started(chute) == []


def test_an_example_of_what_no_call_can_send_is_passed_over(chute):
    chute.calls = []

    @chute.cord("/items/{item}", minimal_input_schema=Prompt(prompt="hello"))
    async def by_path(self, item: str, given: Prompt):
        self.calls.append(item)

    @chute.cord("/upload", minimal_input_schema=Prompt(prompt="hello"))
    async def upload(self, file: UploadFile, prompt: str = ""):
        self.calls.append(prompt)

    @chute.cord("/named", minimal_input_schema=Prompt(prompt="hello"))
    async def named(self, file: "Picture", prompt: str = ""):
        self.calls.append(prompt)

    assert started(chute) == []


def test_cords_are_called_one_after_the_other_as_written_after_the_hooks(chute, caplog):
    caplog.set_level(logging.INFO)
    chute.calls = []

    @chute.cord("/b", warmup={})
    async def second(self):
        self.calls.append(chute.app.served.lifecycle.state)
        await asyncio.sleep(0.01)
        self.calls.append("second")

    @chute.cord("/a", warmup={})
    async def third(self):
        self.calls.append("third")

    @chute.on_startup()
    async def load(self):
        self.calls.append("load")

    assert started(chute) == ["load", State.STARTING, "second", "third"]
    told = [record.getMessage().rpartition(" in ")[0] for record in caplog.records if "Warmed" in record.msg]
    assert told == ["Warmed up cord 'second'", "Warmed up cord 'third'"]


async def test_it_takes_neither_a_key_nor_a_place_in_the_counts_nor_in_what_calls_take():
    chute = new_chute()

    @chute.cord("/run", warmup={"n": 1})
    async def run(self, n: int):
        await asyncio.sleep(0.05)
        return n

    @chute.cord("/batch", batch=Batch(), warmup={"items": "a"})
    async def batched(self, items: list[str]):
        return items

    served = ServedChute(chute, Settings(api_keys="open-sesame"))
    await served.lifecycle.start()
    try:
        text = served.meters.text().decode()
        assert served.admission.pace.seconds is None
        assert served.batchers[0].pace.seconds is None
    finally:
        await served.lifecycle.stop()
    assert 'chutes_requests_total{cord="run"' not in text
    for name in ("request_seconds", "queue_seconds"):
        assert f'chutes_{name}_count{{cord="run"}} 0.0' in text
    assert 'chutes_batch_size_count{cord="batched"} 0.0' in text


def test_a_first_call_may_take_longer_than_the_timeout(chute):
    chute.calls = []

    @chute.cord("/run", timeout=0.01, warmup={})
    async def run(self):
        await asyncio.sleep(0.1)
        self.calls.append("done")

    @chute.cord("/thread", timeout=0.01, warmup={})
    def in_thread(self):
        threading.Event().wait(0.1)
        self.calls.append("done")

    assert started(chute) == ["done", "done"]


def test_a_batched_cord_is_called_with_one_item(chute):
    chute.calls = []

    @chute.cord("/run", batch=Batch(), minimal_input_schema={"text": "hello"})
    def run(self, text: list[str]):
        self.calls.append(text)
        return text

    assert started(chute) == [["hello"]]


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_stream_is_read_for_a_few_chunks_and_closed(chute, kind):
    chute.calls = []

    async def endless(self):
        try:
            while True:
                self.calls.append("chunk")
                yield "text"
                await asyncio.sleep(0)
        finally:
            self.calls.append("closed")

    def endless_in_thread(self):
        try:
            while True:
                self.calls.append("chunk")
                yield "text"
        finally:
            self.calls.append("closed")

    chute.cord("/run", stream=True, warmup={})(endless if kind == "async" else endless_in_thread)
    calls = started(chute)
    assert calls.count("closed") == 1
    assert 16 <= calls.count("chunk") < 100


@pytest.mark.parametrize("first", ["plain", "streaming"])
def test_of_two_cords_on_one_path_the_right_one_is_called(chute, first):
    chute.calls = []

    def plain():
        @chute.cord("/run", warmup={"prompt": "a"})
        async def whole(self, prompt: str):
            self.calls.append(f"whole {prompt}")

    def streaming():
        @chute.cord("/run", stream=True, warmup={"prompt": "b"})
        async def parts(self, prompt: str):
            self.calls.append(f"parts {prompt}")
            yield "x"

    for add in (plain, streaming) if first == "plain" else (streaming, plain):
        add()
    assert sorted(started(chute)) == ["parts b", "whole a"]


def failing(chute):
    """The error with which a chute does not start."""
    with pytest.raises(Exception) as caught, TestClient(chute):
        pass
    return caught.value


async def startup_error(chute):
    served = ServedChute(chute, Settings())
    with pytest.raises(StartupError) as caught:
        await served.lifecycle.start()
    assert served.lifecycle.state is State.FAILED
    assert served.health.ready()[0] == 503
    return caught.value


async def test_a_call_that_raises_ends_the_start_with_the_users_exception_and_the_shutdown_hooks(chute):
    chute.calls = []

    @chute.cord("/run", warmup={"n": 0})
    async def divide(self, n: int):
        return 1 / n

    @chute.on_shutdown()
    async def release(self):
        self.calls.append("released")

    error = await startup_error(chute)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert str(error).startswith(
        "The warm-up call of cord 'divide' failed: ZeroDivisionError: division by zero."
    )
    assert "warmup=False" in str(error)
    assert chute.calls == ["released"]


def test_a_test_client_raises_the_users_exception(chute):
    @chute.cord("/run", warmup={})
    def run(self):
        raise LookupError("no weights")

    assert isinstance(failing(chute), LookupError)


@pytest.mark.parametrize(
    ("content_type", "chunks"), [(None, [{"a": 1}]), (None, ["text"]), ("text/event-stream", [])]
)
async def test_a_stream_that_breaks_ends_the_start(chute, content_type, chunks):
    @chute.cord("/run", stream=True, output_content_type=content_type, warmup={})
    async def run(self):
        for chunk in chunks:
            yield chunk
        raise LookupError("no weights")

    error = await startup_error(chute)
    assert isinstance(error.__cause__, LookupError)


async def test_a_call_that_ends_the_program_ends_the_start(chute):
    @chute.cord("/run", warmup={})
    async def run(self):
        raise SystemExit(0)

    assert "it ended the program: SystemExit(0)" in str(await startup_error(chute))


async def test_arguments_that_do_not_fit_are_told_with_their_fields(chute):
    @chute.cord("/run", warmup={"n": "three"})
    async def run(self, n: int, unit: str):
        return n

    text = str(await startup_error(chute))
    assert "failed: 422 body.n: Input should be a valid integer" in text
    assert "body.unit: Field required. Its arguments are from warmup=" in text


async def test_arguments_that_are_no_json_are_told(chute):
    @chute.cord("/run", warmup={"n": object()})
    async def run(self, n: int):
        return n

    assert "cannot be written as JSON" in str(await startup_error(chute))


async def test_an_answer_of_400_or_more_is_told_with_its_detail(chute):
    @chute.cord("/run", minimal_input_schema={"n": 1})
    async def run(self, n: int):
        raise HTTPException(503, "The model is not there.")

    text = str(await startup_error(chute))
    assert "failed: 503 The model is not there. Its arguments are from minimal_input_schema=" in text


def refuse():
    raise HTTPException(401, "Who are you?")


def test_a_guard_that_refuses_a_call_that_nobody_asked_for_is_a_warning(chute, caplog):
    chute.calls = []

    @chute.cord("/run", minimal_input_schema={"n": 1}, dependencies=[Depends(refuse)])
    async def run(self, n: int):
        self.calls.append(n)

    assert started(chute) == []
    assert "Cord 'run' is not warmed up: its call was refused with 401 Who are you?" in caplog.text


async def test_a_guard_that_refuses_a_call_that_was_asked_for_ends_the_start(chute):
    @chute.cord("/run", warmup={"n": 1}, dependencies=[Depends(refuse)])
    async def run(self, n: int):
        return n

    assert "failed: 401 Who are you?" in str(await startup_error(chute))


async def test_what_the_application_adds_to_requests_is_there(chute):
    chute.calls = []

    @chute.middleware("http")
    async def note(request, call_next):
        chute.calls.append("middleware")
        return await call_next(request)

    @chute.cord("/run", warmup={})
    async def run(self, request: Request):
        self.calls.append((request.state.request_id, request.client.host, request.headers["user-agent"]))

    async with AsyncTestClient(chute):
        assert chute.calls == ["middleware", ("warmup-run", "127.0.0.1", "chutes-warmup")]


def test_a_call_that_is_interrupted_leaves_nothing_running(chute):
    chute.calls = []

    @chute.on_shutdown()
    async def release(self):
        self.calls.append("released")

    @chute.cord("/run", warmup={})
    async def run(self):
        await asyncio.Event().wait()

    with pytest.raises(StartupError, match="Startup took more than"), TestClient(chute, lifespan_timeout=0.2):
        pass
    assert chute.calls == ["released"]
