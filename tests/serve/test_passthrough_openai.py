"""The official OpenAI client, through passthrough cords, to a server of its protocol."""

import json
from contextlib import contextmanager

import openai
import pytest

from support.http_servers import ScriptedServer, asgi_server, http_answer, unused_address
from support.serving import new_chute
from support.upstream import forward

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MESSAGES = [{"role": "user", "content": "hello"}]


def delta(text):
    told = {
        "id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }  # fmt: skip
    return event(json.dumps(told))


def event(data):
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


@contextmanager
def client_of(port):
    chute = new_chute(concurrency=4)
    forward(chute, "/v1/chat/completions", port)
    forward(chute, "/v1/chat/completions", port, stream=True)
    with (
        asgi_server(chute, lifespan="on") as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
    ):
        yield client


@contextmanager
def scripted(*scripts):
    server = ScriptedServer(scripts)
    with client_of(int(server.url.rpartition(":")[2])) as client:
        yield client
    server.close()


def ask(client, **options):
    return client.chat.completions.create(model="m", messages=MESSAGES, **options)


def test_a_stream_arrives_chunk_by_chunk():
    script = EVENTS + delta("a") + delta("b") + event("[DONE]") + b"0\r\n\r\n"
    with scripted(script) as client:
        assert [part.choices[0].delta.content for part in ask(client, stream=True)] == ["a", "b"]


def test_an_engine_that_dies_in_mid_stream_is_an_error_of_the_api():
    with scripted(EVENTS + delta("a")) as client:
        stream = ask(client, stream=True)
        assert next(stream).choices[0].delta.content == "a"
        with pytest.raises(openai.APIError, match="ended before its answer"):
            next(stream)


def test_an_error_of_the_engine_is_told_as_the_engine_told_it():
    body = json.dumps(
        {"error": {"message": "too long", "type": "invalid_request_error", "code": "ctx"}}
    ).encode()
    with (
        scripted(http_answer(400, body, Content_Type="application/json")) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        ask(client)
    assert (caught.value.code, caught.value.body["message"]) == ("ctx", "too long")


def test_an_engine_that_is_not_there_is_a_server_error_that_says_when():
    with (
        unused_address() as address,
        client_of(int(address.rpartition(":")[2])) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        ask(client)
    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (503, "1")
