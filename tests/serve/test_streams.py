"""Answers that are sent while they are made."""

import dataclasses
import itertools
import threading
from collections.abc import AsyncIterator
from importlib.util import find_spec

import numpy as np
import pytest
from fastapi import BackgroundTasks, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel

from chutes.serve.chunks import framed_event
from chutes.testing import TestClient
from support.serving import new_chute, serving


class Token(BaseModel):
    token: str


@dataclasses.dataclass
class Point:
    x: int


def from_async_generator(chunks):
    async def run(self):
        for chunk in chunks:
            yield chunk

    return run


def from_generator(chunks):
    def run(self):
        yield from chunks

    return run


def returns_async_generator(chunks):
    async def run(self):
        return from_async_generator(chunks)(self)

    return run


def returns_generator(chunks):
    def run(self):
        return from_generator(chunks)(self)

    return run


async def in_thread_and_loop(self):
    yield threading.current_thread().name


def answer_of(function, **options):
    with serving(function, stream=True, **options) as client:
        return client.post("/run")


SOURCES = [from_async_generator, from_generator, returns_async_generator, returns_generator]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("chunks", "content_type", "body"),
    [
        (
            [Token(token="a"), Token(token="b")],
            "text/event-stream",
            b'data: {"token":"a"}\n\ndata: {"token":"b"}\n\n',
        ),
        ([{"a": 1}, {"b": None}], "text/event-stream", b'data: {"a":1}\n\ndata: {"b":null}\n\n'),
        ([Point(1), 2, [3]], "text/event-stream", b'data: {"x":1}\n\ndata: 2\n\ndata: [3]\n\n'),
        ([{"v": np.array([1.0])}], "text/event-stream", b'data: {"v":[1.0]}\n\n'),
        (
            [{"a": 1}, "[DONE]", b"data: raw\n\n"],
            "text/event-stream",
            b'data: {"a":1}\n\ndata: [DONE]\n\ndata: raw\n\n',
        ),
        (["grü", "ße", "", "\n"], "text/plain", "grüße\n".encode()),
        (["data: a\n\n", "b"], "text/plain", b"data: a\n\nb"),
        (["a", {"b": 1}], "text/plain", b'a{"b":1}'),
        ([b"\xff", bytearray(b"\x00"), memoryview(b"a")], "application/octet-stream", b"\xff\x00a"),
        ([None, {"a": 1}], "text/event-stream", b'data: null\n\ndata: {"a":1}\n\n'),
    ],
    ids=[
        "models",
        "dicts",
        "values",
        "arrays",
        "mixed",
        "text",
        "text like events",
        "text first",
        "bytes",
        "none",
    ],
)
def test_the_first_chunk_decides_what_the_stream_is(source, chunks, content_type, body):
    response = answer_of(source(chunks))
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["content-type"].partition(";")[0] == content_type
    assert "content-length" not in response.headers


@pytest.mark.parametrize(
    ("content_type", "chunks", "body"),
    [
        (
            "text/event-stream",
            ["a", "b\nc", "data: d\n\n", ": ping\n\n"],
            b"data: a\n\ndata: b\ndata: c\n\ndata: d\n\n: ping\n\n",
        ),
        ("text/event-stream", ["", "a\r\nb"], b"data: \n\ndata: a\ndata: b\n\n"),
        ("application/x-ndjson", [{"a": 1}, Token(token="t"), None], b'{"a":1}\n{"token":"t"}\nnull\n'),
        ("application/jsonl", [{"a": 1}, b'{"b":2}\n', '{"c":3}\n'], b'{"a":1}\n{"b":2}\n{"c":3}\n'),
        ("audio/wav", [b"RIFF", b"\xff"], b"RIFF\xff"),
        ("text/csv", ["a,b\n", "1,2\n"], b"a,b\n1,2\n"),
        ("text/html", ["<p>"], b"<p>"),
        ("text/plain", [{"a": 1}], b'{"a":1}'),
        ("application/json", ["[1,", "2]"], b"[1,2]"),
        ("application/vnd.acme+json", ["[1,", "2]"], b"[1,2]"),
    ],
)
def test_the_cords_content_type_decides_unless_it_is_the_json_default(content_type, chunks, body):
    response = answer_of(from_async_generator(chunks), output_content_type=content_type)
    assert response.content == body
    shown = "text/plain" if content_type == "application/json" else content_type
    assert response.headers["content-type"].partition(";")[0] == shown


@pytest.mark.parametrize("source", SOURCES)
def test_an_empty_stream_is_an_empty_answer(source):
    response = answer_of(source([]))
    assert (response.status_code, response.content) == (200, b"")


async def empty_text(self) -> AsyncIterator[str]:
    for _ in ():
        yield ""


def test_an_empty_stream_has_the_content_type_of_its_hint():
    assert answer_of(empty_text).headers["content-type"].partition(";")[0] == "text/plain"


def test_events_are_neither_cached_nor_buffered_on_their_way():
    headers = answer_of(from_async_generator([{"a": 1}])).headers
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")


@pytest.mark.skipif(not find_spec("fastapi.sse"), reason="this FastAPI has no events of its own")
def test_fastapis_events_are_written_in_full():
    from fastapi.sse import ServerSentEvent

    events = [
        ServerSentEvent(data={"a": 1}, event="note", id="7", retry=5),
        ServerSentEvent(raw_data="[DONE]"),
    ]
    text = answer_of(from_async_generator(events)).text
    assert "event: note\n" in text
    assert 'data: {"a":1}\n' in text
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("a", "data: a\n\n"),
        ("", "data: \n\n"),
        ("a\nb", "data: a\ndata: b\n\n"),
        ("a\rb\r\nc", "data: a\ndata: b\ndata: c\n\n"),
        ("data: a\n\n", "data: a\n\n"),
        ("event: x\ndata: a\n\n", "event: x\ndata: a\n\n"),
        ("data: a", "data: data: a\n\n"),
        (": a colon", "data: : a colon\n\n"),
        ("data\n", "data: data\ndata: \n\n"),
    ],
)
def test_text_is_framed_as_one_event_unless_it_is_one(text, event):
    assert framed_event(text) == event


@pytest.mark.parametrize("token", [":\n", ":\n\n", ": like this\n", "data", "id"])
def test_a_token_that_only_looks_like_a_line_of_an_event_is_not_lost(token):
    lines = answer_of(from_async_generator([token]), output_content_type="text/event-stream").text.split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data:")]
    assert "\n".join(data) == token


def test_status_headers_and_cookies_of_an_injected_response_are_sent():
    async def run(self, response: Response):
        response.headers["X-One"] = "1"
        response.set_cookie("a", "1")
        response.status_code = 202

        async def chunks():
            yield "a"

        return chunks()

    response = answer_of(run)
    assert (response.status_code, response.headers["X-One"], response.cookies["a"]) == (202, "1", "1")


def test_the_status_of_the_cord_is_that_of_its_stream():
    assert answer_of(from_async_generator(["a"]), status_code=201).status_code == 201


def test_background_tasks_run_after_the_stream():
    events = []

    async def run(self, tasks: BackgroundTasks):
        tasks.add_task(events.append, "task")

        async def chunks():
            yield "a"
            events.append("end")

        return chunks()

    assert answer_of(run).text == "a"
    assert events == ["end", "task"]


async def numbers():
    for number in range(3):
        yield f"data: {number}\n\n"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("source", [numbers, lambda: iter([b"data: 0\n\n", "data: 1\n\n", b"data: 2\n\n"])])
def test_a_streaming_response_is_sent_as_its_author_wrote_it(stream, source):
    async def run(self):
        headers = {"X-One": "1"}
        return StreamingResponse(source(), media_type="text/event-stream", headers=headers, status_code=202)

    with serving(run, stream=stream) as client:
        response = client.post("/run")
    assert (response.status_code, response.headers["X-One"]) == (202, "1")
    assert response.text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_the_pieces_of_a_streaming_response_are_not_framed_again():
    async def run(self):
        return StreamingResponse(
            iter(["data: a", "\n", "data: b\n\n", "plain"]), media_type="text/event-stream"
        )

    assert answer_of(run).text == "data: a\ndata: b\n\nplain"


def test_a_streaming_response_without_a_media_type_has_none():
    async def run(self):
        return StreamingResponse(iter(["a"]))

    response = answer_of(run, output_content_type="text/csv")
    assert (response.text, response.headers.get("content-type")) == ("a", None)


def test_other_answers_of_a_streaming_cord_are_sent_as_they_are(tmp_path):
    (tmp_path / "a.txt").write_text("file")

    async def run(self, what: str):
        return {"dict": {"a": 1}, "file": FileResponse(tmp_path / "a.txt"), "text": "text"}[what]

    with serving(run, stream=True) as client:
        assert client.post("/run", json={"what": "dict"}).json() == {"a": 1}
        assert client.post("/run", json={"what": "text"}).json() == "text"
        assert client.post("/run", json={"what": "file"}).text == "file"


def test_a_synchronous_generator_runs_in_the_chutes_threads_and_not_on_the_loop():
    def run(self):
        for _ in range(3):
            yield f"{threading.current_thread().name}\n"

    names = answer_of(run).text.split()
    assert len(names) == 3
    assert all(name.startswith("chute-probe") for name in names)


def test_arguments_are_validated_before_the_stream_begins():
    async def run(self, count: int):
        for number in range(count):
            yield {"n": number}

    with serving(run, stream=True) as client:
        assert client.post("/run", json={"count": "x"}).status_code == 422
        assert client.post("/run", json={"count": 2}).text == 'data: {"n":0}\n\ndata: {"n":1}\n\n'


@pytest.mark.parametrize("first", ["plain", "stream"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_two_cords_on_one_path_are_chosen_by_stream_in_the_input(first, method):
    chute = new_chute()

    async def plain(self, prompt: str):
        return {"text": prompt}

    async def stream(self, prompt: str):
        yield {"token": prompt}

    for name in (first, "stream" if first == "plain" else "plain"):
        chute.cord("/chat", method=method, stream=name == "stream")(plain if name == "plain" else stream)

    def send(client, **given):
        if method == "GET":
            return client.get("/chat", params={"prompt": "p", **given}).text
        return client.post("/chat", json={"prompt": "p", **given}).text

    with TestClient(chute) as client:
        for asked in ({}, {"stream": False}):
            assert send(client, **asked) == '{"text":"p"}'
        assert send(client, stream=True) == 'data: {"token":"p"}\n\n'
        if method == "POST":
            assert client.post("/chat", content=b"{").status_code == 422
            assert client.post("/chat", json=[1]).status_code == 422


def test_two_cords_on_one_path_take_models_with_and_without_the_field():
    class Chat(BaseModel):
        prompt: str
        stream: bool = False

    chute = new_chute()

    @chute.cord("/chat")
    async def plain(self, chat: Chat):
        return chat.stream

    @chute.cord("/chat", stream=True)
    async def stream(self, chat: Chat):
        yield {"stream": chat.stream}

    with TestClient(chute) as client:
        assert client.post("/chat", json={"prompt": "p"}).json() is False
        assert client.post("/chat", json={"prompt": "p", "stream": True}).text == 'data: {"stream":true}\n\n'


def test_chunks_are_sent_as_they_are_made():
    made = []

    async def run(self):
        for number in itertools.count():
            made.append(number)
            yield f"{number}\n"

    with serving(run, stream=True) as client, client.stream("POST", "/run") as response:
        lines = response.iter_lines()
        assert [next(lines), next(lines)] == ["0", "1"]
    assert len(made) < 1000


def test_chunks_and_first_chunks_are_counted():
    async def run(self):
        for number in range(3):
            yield {"n": number}

    with serving(run, stream=True) as client:
        client.post("/run")
        text = client.get("/metrics").text
    assert 'chutes_chunks_total{cord="run"} 3.0' in text
    assert 'chutes_first_chunk_seconds_count{cord="run"} 1.0' in text
