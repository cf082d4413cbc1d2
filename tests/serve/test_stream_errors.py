"""Streams that fail: before their first chunk, among events, in any other stream."""

import json

import httpx2
import pytest
from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from support.serving import serving


def answer_of(function, **options):
    with serving(function, stream=True, **options) as client:
        return client.post("/run")


def sending(*chunks):
    async def run(self):
        for chunk in chunks:
            yield chunk

    return run


def failing(chunks, error):
    async def run(self):
        for chunk in chunks:
            yield chunk
        raise error

    return run


def failing_in_a_thread(chunks, error):
    def run(self):
        yield from chunks
        raise error

    return run


@pytest.mark.parametrize("source", [failing, failing_in_a_thread])
def test_an_error_before_the_first_chunk_is_an_ordinary_one(source, caplog):
    response = answer_of(source([], ValueError("secret")))
    assert (response.status_code, response.json()["detail"]) == (500, "Internal Server Error")
    assert "secret" not in response.text
    assert "ValueError: secret" in caplog.text
    response = answer_of(source([], HTTPException(418, "no tea", headers={"X-A": "1"})))
    assert (response.status_code, response.json(), response.headers["X-A"]) == (
        418,
        {"detail": "no tea"},
        "1",
    )


@pytest.mark.parametrize("source", [failing, failing_in_a_thread])
def test_an_error_among_events_is_an_event_and_then_the_end(source, caplog):
    with serving(source([{"n": 1}], ValueError("secret")), stream=True) as client:
        response = client.post("/run", headers={"X-Request-ID": "r-1"})
    first, second, rest = response.text.split("\n\n")
    assert (first, rest) == ('data: {"n":1}', "")
    kind, data = second.split("\n")
    assert kind == "event: error"
    assert json.loads(data.removeprefix("data: ")) == {
        "detail": "Internal Server Error",
        "request_id": "r-1",
        "error": {"message": "Internal Server Error"},
    }
    assert caplog.text.count("ValueError: secret") == 2, "the summary, and the last line of one traceback"


def test_an_http_exception_among_events_shows_its_detail():
    response = answer_of(failing([{"n": 1}], HTTPException(429, "slow down")))
    data = json.loads(response.text.split("event: error\ndata: ")[1])
    assert (data["detail"], data["status"], data["error"]) == ("slow down", 429, {"message": "slow down"})


def test_an_http_exception_among_events_may_have_a_detail_of_any_form():
    response = answer_of(failing([{"n": 1}], HTTPException(429, {"wait": 3})))
    data = json.loads(response.text.split("event: error\ndata: ")[1])
    assert (data["detail"], data["error"]) == ({"wait": 3}, {"message": '{"wait":3}'})


def test_a_chunk_that_nothing_can_encode_is_an_error_of_the_stream(caplog):
    assert "event: error" in answer_of(sending({"n": 1}, object())).text
    assert "no rule for builtins.object" in caplog.text


def test_a_first_chunk_that_nothing_can_encode_is_an_ordinary_error():
    assert answer_of(sending(object())).status_code == 500


@pytest.mark.parametrize("source", [failing, failing_in_a_thread])
@pytest.mark.parametrize("chunk", ["text", b"bytes"])
def test_an_error_in_any_other_stream_breaks_it_off(source, chunk, caplog):
    parts = []
    with (
        serving(source([chunk], ValueError("secret")), stream=True) as client,
        pytest.raises(httpx2.RemoteProtocolError) as caught,
        client.stream("POST", "/run") as response,
    ):
        parts.extend(response.iter_raw())
    assert parts == [chunk if isinstance(chunk, bytes) else chunk.encode()]
    assert isinstance(caught.value.__cause__, ValueError)
    assert caplog.text.count("The stream of POST /run failed: ValueError: secret") == 1


def test_an_error_in_a_streaming_response_of_events_is_an_event():
    async def run(self):
        return StreamingResponse(
            failing([b"data: 1\n\n"], ValueError("x"))(self), media_type="text/event-stream"
        )

    assert answer_of(run).text.startswith("data: 1\n\nevent: error\n")


@pytest.mark.parametrize("source", [failing, failing_in_a_thread])
@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_what_ends_programs_is_an_error_in_a_stream_too(source, error, caplog):
    with serving(source([], error()), stream=True) as client:
        response = client.post("/run")
        assert (response.status_code, response.json()["detail"]) == (500, "Internal Server Error")
    with serving(source(["a"], error()), stream=True) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            client.post("/run")
        assert client.get("/readyz").status_code == 200
    assert caplog.text.count(f"failed: {error.__name__}") == 2
