"""The fake engine speaks the OpenAI API as a real one does, and takes a runner's place."""

import asyncio
import json
import urllib.error
import urllib.request

import httpx2
import pytest

from chutes.errors import EngineError
from chutes.testing import FakeEngine
from support.child_processes import becomes_true
from support.engines import ask, ask_blocking

CHAT = {
    "model": "fake",
    "messages": [{"role": "system", "content": "Be."}, {"role": "user", "content": "Good day"}],
}


def lines_of(engine, path, body):
    request = urllib.request.Request(engine.url + path, json.dumps(body).encode(), dict(engine.headers))
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [line[6:] for line in answer.read().decode().split("\n\n") if line]


@pytest.fixture
def engine():
    with FakeEngine() as engine:
        yield engine


def test_it_repeats_the_last_message(engine):
    answer = ask_blocking(f"{engine.url}/v1/chat/completions", CHAT, engine.headers)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "You said: Good day"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    assert engine.requests == [{**CHAT, "path": "/v1/chat/completions"}]


def test_an_answer_ends_at_the_limit(engine):
    answer = ask_blocking(
        f"{engine.url}/v1/completions", {"prompt": "a b c", "max_tokens": 3}, engine.headers
    )
    assert answer["choices"][0]["text"] == "You said: a"
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_stream_comes_token_by_token_and_ends_with_done(engine):
    lines = lines_of(
        engine, "/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    )
    *chunks, usage = map(json.loads, lines[:-1])
    assert lines[-1] == "[DONE]"
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == [
        "",
        "You",
        " said:",
        " Good",
        " day",
        None,
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == 4


def test_a_stream_of_a_plain_completion_has_texts(engine):
    lines = lines_of(engine, "/v1/completions", {"prompt": "x", "stream": True})
    assert "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1]) == "You said: x"


def test_embeddings_are_the_same_for_the_same_text(engine):
    answer = ask_blocking(f"{engine.url}/v1/embeddings", {"input": ["a", "b", "a"]}, engine.headers)
    first, second, third = (item["embedding"] for item in answer["data"])
    assert first == third != second
    assert sum(value * value for value in first) == pytest.approx(1)


def test_tokens_go_there_and_back(engine):
    tokens = ask_blocking(f"{engine.url}/tokenize", {"prompt": "héllo"}, engine.headers)
    assert tokens["count"] == 5
    assert ask_blocking(f"{engine.url}/detokenize", {"tokens": tokens["tokens"]}, engine.headers) == {
        "prompt": "héllo"
    }


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/chat/completions", CHAT, {}, 401),
        ("/v1/chat/completions", {**CHAT, "model": "other"}, None, 404),
        ("/v1/nothing", {}, None, 404),
    ],
)
def test_errors_have_the_form_of_the_api(engine, path, body, headers, status):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        ask_blocking(engine.url + path, body, engine.headers if headers is None else headers)
    with refusal.value as answer:
        assert answer.code == status
        assert json.loads(answer.read())["error"]["code"] == status


def test_it_fails_when_it_is_told_to(engine):
    engine.openai.failure = 500
    with pytest.raises(urllib.error.HTTPError) as refusal:
        ask_blocking(f"{engine.url}/v1/models", headers=engine.headers)
    refusal.value.close()
    engine.openai.failure = None
    assert ask_blocking(f"{engine.url}/v1/models", headers=engine.headers)["data"][0]["id"] == "fake"


async def test_it_has_the_face_of_a_runner():
    engine = FakeEngine("mine", answer=str.upper)
    with pytest.raises(EngineError, match="not started"):
        await engine.wait_ready()
    assert engine.status.state == "stopped"
    async with engine:
        await engine.start()
        await engine.wait_ready()
        assert (engine.retry_after(), engine.status.state) == (None, "ready")
        engine.become_unready(2.0)
        assert (engine.retry_after(), engine.status.state) == (2.0, "backing off")
        engine.become_ready()
        answer = await ask(f"{engine.url}/v1/completions", {"model": "mine", "prompt": "hi"}, engine.headers)
        assert answer["choices"][0]["text"] == "HI"
    await engine.stop()


async def test_a_caller_who_leaves_a_stream_is_noted():
    async with (
        FakeEngine(pause=0.05, answer=lambda _prompt: "word " * 1000) as engine,
        httpx2.AsyncClient() as client,
    ):
        body = {**CHAT, "stream": True}
        async with client.stream(
            "POST", f"{engine.url}/v1/chat/completions", json=body, headers=engine.headers
        ) as answer:
            await anext(answer.aiter_lines())
        await becomes_true(lambda: engine.openai.aborted == [body])
        await asyncio.sleep(0)
