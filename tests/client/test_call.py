"""Calls and their values, over real sockets."""

import dataclasses
import datetime as dt
import decimal
import enum
import io
import os
import uuid
from pathlib import Path

import httpx2
import numpy as np
import pydantic
import pytest

import chutes
from chutes.client import Client
from chutes.errors import CallFailed, CallRejected
from support.http_servers import http_answer


@pytest.fixture
def chute(url):
    with Client(url) as client:
        yield client


class Model(pydantic.BaseModel):
    query: str
    limit: int = 2


@dataclasses.dataclass
class Data:
    query: str
    limit: int = 3


def test_arguments_by_name_are_a_json_object(chute):
    assert chute.call("/embed", text="hello") == {"vector": [5, 0.5]}


def test_a_call_without_arguments_sends_an_empty_object(chute):
    assert chute.call("/echo/json") == {"body": {}, "type": "application/json"}


@pytest.mark.parametrize("body", [{"query": "x", "limit": 1}, Model(query="x", limit=1), Data("x", 1)])
def test_one_value_is_the_whole_body(chute, body):
    assert chute.call("/search", body) == {"found": "x", "limit": 1}


@pytest.mark.parametrize("body", [None, [1, None], "text", 3, {"nested": {"ü": [True]}}])
def test_any_json_value_can_be_the_body(chute, body):
    assert chute.call("/echo/json", body)["body"] == body


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1, 2.5]]), [[1, 2.5]]),
        (np.float32(0.5), 0.5),
        ({3}, [3]),
        (Colour.RED, "red"),
        (dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), "2024-01-02T03:00:00+00:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.10"), "1.10"),
        (
            [Data("q"), {"m": Model(query="m")}],
            [{"query": "q", "limit": 3}, {"m": {"query": "m", "limit": 2}}],
        ),
    ],
)
def test_common_values_have_a_json_form(chute, value, text):
    assert chute.call("/echo/json", value=value)["body"] == {"value": text}


def test_bytes_as_the_body_are_sent_as_they_are(chute):
    assert chute.call("/raw", b"\x00\xff") == b"\x00\xff"


def test_a_cord_is_found_by_the_name_of_its_function(chute, remote):
    assert chute.call("embed", text="hello") == {"vector": [5, 0.5]}
    assert chute.call("stats", limit=4)["limit"] == 4
    assert len(remote.state.seen) == 3, "The OpenAPI document is fetched once."


def test_a_cord_is_found_by_its_path_without_the_slash(chute):
    assert chute.call("echo/json", [1])["body"] == [1]


def test_an_unknown_name_says_what_there_is(chute):
    with pytest.raises(
        CallRejected, match=r"no cord 'embd'\. Did you mean 'embed'\? It has: .*caption"
    ) as caught:
        chute.call("embd", text="x")
    assert caught.value.status is None


def test_arguments_of_a_get_are_its_query(chute):
    assert chute.call("/stats", method="GET", limit=3, tag="a&b ü") == {
        "limit": 3,
        "tag": "a&b ü",
        "query": "limit=3&tag=a%26b+%C3%BC",
    }


def test_a_dict_given_to_a_get_is_spread_over_its_query(chute):
    assert chute.call("/stats", Model(query="q", limit=7), method="get")["query"] == "query=q&limit=7"


def test_a_query_in_the_path_stays_there(chute):
    assert chute.call("/stats?limit=3", method="GET", tag="x")["query"] == "limit=3&tag=x"
    assert chute.call("/stats?limit=3", method="GET")["limit"] == 3


def test_in_a_query_lists_repeat_none_is_left_out_and_the_rest_is_json(chute):
    query = chute.call("/stats", method="GET", tag=None, many=[1, True], deep={"a": 1})["query"]
    assert query == "many=1&many=true&deep=%7B%22a%22%3A1%7D"


def test_the_method_is_looked_up_when_post_is_not_taken(chute, remote):
    assert chute.call("/stats", limit=4)["limit"] == 4
    assert chute.call("/stats", limit=5)["limit"] == 5
    assert len(remote.state.seen) == 4, "A POST and the document for the first call, then two calls."


def test_a_method_that_is_named_is_never_changed(chute):
    with pytest.raises(CallRejected, match=r"405: Method Not Allowed\. Call it with another method: GET"):
        chute.call("/stats", method="POST")


def test_where_several_methods_are_listed_none_is_guessed(chute):
    with pytest.raises(CallRejected, match="405"):
        chute.call("/users/{user_id}", user_id=3)
    assert chute.call("/users/{user_id}", method="GET", user_id=3) == {"user": "3"}


def test_braces_are_filled_and_quoted(chute):
    assert chute.call("user", user_id=3) == {"user": "3"}
    assert chute.call("/users/{user_id}", method="GET", user_id="a b?ü%") == {"user": "a b?ü%"}


def test_a_slash_in_a_path_argument_is_quoted(scripted):
    server = scripted(http_answer(200))
    with Client(server.url) as chute:
        chute.call("/users/{user_id}/x", user_id="a/b")
    assert server.requests[0].startswith(b"POST /users/a%2Fb/x HTTP/1.1")


def test_a_path_convertor_keeps_its_slashes(chute):
    assert chute.call("/files/{name:path}", name="a/b c.txt") == {"name": "a/b c.txt"}


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_segment_that_would_change_the_path_is_refused(chute, value):
    with pytest.raises(CallRejected, match="Invalid path argument user_id="):
        chute.call("/users/{user_id}", user_id=value)


def test_a_missing_path_argument_is_named(chute):
    with pytest.raises(CallRejected, match=r"needs 'user_id'\. Give each by name, for example user_id=1"):
        chute.call("/users/{user_id}")


def test_an_answer_without_a_body_is_none(chute):
    assert chute.call("/users/{user_id}", method="DELETE", user_id=3) is None
    assert chute.call("/empty") is None


def test_text_is_a_str_and_anything_else_bytes(chute):
    assert chute.call("/text") == "grüße"
    assert chute.call("/image") == b"\x89PNG\x00"


def test_call_gathers_a_stream_of_events_or_lines(chute):
    assert chute.call("/tokens", prompt="a b") == [{"token": "a"}, {"token": "b"}]
    assert chute.call("/lines")[1:] == [{"n": 2}, 3]


def test_json_that_is_none_is_an_error_of_the_chute(chute):
    with pytest.raises(CallFailed, match="should be JSON and is not"):
        chute.call("/liar")


def test_a_path_is_uploaded_under_its_name(chute, tmp_path):
    cat = tmp_path / "cat.png"
    cat.write_bytes(b"12345")
    assert chute.call("/caption", image=cat, lang="en") == {
        "names": ["cat.png image/png"],
        "sizes": [5],
        "lang": "en",
    }


def test_bytes_files_and_named_contents_are_uploaded(chute, tmp_path):
    cat = tmp_path / "cat.jpg"
    cat.write_bytes(b"123")
    with cat.open("rb") as file:
        images = [
            b"1",
            file,
            io.BytesIO(b"12"),
            ("dog.png", b"1234"),
            ("x", b"", "text/plain"),
            ("c.png", cat),
        ]
        answer = chute.call("/caption", image=images)
    assert answer["sizes"] == [1, 3, 2, 4, 0, 3]
    assert answer["names"] == [
        "image application/octet-stream",
        "cat.jpg image/jpeg",
        "image application/octet-stream",
        "dog.png image/png",
        "x text/plain",
        "c.png image/png",
    ]


def test_form_fields_are_text_lists_repeat_and_models_are_json(chute):
    fields = chute.call("/form", file=b"", a=True, b=[1, "x"], c=Data("q"), d=None)
    assert fields == [
        ["a", "true"],
        ["b", "1"],
        ["b", "x"],
        ["c", '{"query":"q","limit":3}'],
        ["file", "file"],
    ]


def test_a_pipe_can_be_uploaded(chute):
    reading, writing = os.pipe()
    os.write(writing, b"flow")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert chute.call("/caption", image=pipe) == {
            "names": ["image application/octet-stream"],
            "sizes": [4],
            "lang": "none",
        }


def test_a_file_opened_as_text_is_refused(chute):
    with pytest.raises(CallRejected, match=r"'image' is open as text\. Open it as bytes"):
        chute.call("/caption", image=io.StringIO("x"))


def test_a_file_that_is_missing_is_pythons_own_error(chute):
    with pytest.raises(FileNotFoundError):
        chute.call("/caption", image=Path("no-such.png"))


def test_a_get_takes_no_files(chute):
    with pytest.raises(CallRejected, match="A GET takes no files, but 'image' is one"):
        chute.call("/stats", method="GET", image=b"1")


def test_a_get_takes_no_list_as_its_body(chute):
    with pytest.raises(CallRejected, match="A GET has no body, so a list cannot be sent"):
        chute.call("/stats", [1], method="GET")


def test_a_whole_body_and_arguments_do_not_mix(chute):
    with pytest.raises(CallRejected, match="has a whole body and also 'limit' by name"):
        chute.call("/search", {"query": "x"}, limit=3)


@pytest.mark.parametrize("value", [object(), float("nan"), Model, {1: {2, object()}}, "\ud800"])
def test_what_is_not_json_is_refused_before_anything_is_sent(chute, remote, value):
    with pytest.raises(CallRejected, match="cannot be sent as JSON"):
        chute.call("/echo/json", value=value)
    assert not remote.state.seen


@pytest.mark.parametrize("target", ["", "http://127.0.0.1:1/embed"])
def test_a_target_is_a_path_or_a_name(chute, target):
    with pytest.raises(CallRejected, match="Invalid target"):
        chute.call(target)


def test_a_method_is_a_word(chute):
    with pytest.raises(CallRejected, match="Invalid method 'GE T'"):
        chute.call("/embed", method="GE T")


def test_the_key_and_the_version_are_sent(url):
    with Client(url, api_key=" secret\n", headers={"X-Other": "1"}) as chute:
        assert chute.call("who") == {"agent": f"chutes-client/{chutes.__version__}", "key": "Bearer secret"}


@pytest.mark.parametrize("key", ["two words", "schlüssel", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key):
    with pytest.raises(ValueError, match="Invalid api_key") as caught:
        Client("http://127.0.0.1", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "localhost:8000", "ftp://h", "http://", "http://h/?a=1", "http://h:x"]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="Invalid URL"):
        Client(address)


@pytest.mark.parametrize("numbers", [{"retries": -1}, {"max_wait": -1.0}])
def test_limits_that_cannot_be_are_refused(numbers):
    with pytest.raises(ValueError, match=f"Invalid {next(iter(numbers))} -1"):
        Client("http://127.0.0.1", **numbers)


def test_waiting_for_a_connection_of_its_own_has_no_limit():
    def answer(request):
        return httpx2.Response(200, json=request.extensions["timeout"])

    with Client("http://chute", timeout=5, transport=httpx2.MockTransport(answer)) as chute:
        assert chute.call("/x") == {"connect": 5, "read": 5, "write": 5, "pool": None}


def test_a_name_of_several_cords_has_to_be_a_path():
    paths = {path: {"post": {"operationId": "twin"}} for path in ("/a", "/b")}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"paths": paths}))
    with Client("http://chute", transport=transport) as chute:
        with pytest.raises(
            CallRejected, match=r"'twin' is the name of several cords: /a, /b\. Call one by its path"
        ):
            chute.call("twin")
        with pytest.raises(CallRejected, match="no cord 'twin' with the method GET"):
            chute.call("twin", method="GET")


def test_a_path_in_the_address_comes_first(scripted):
    server = scripted(http_answer(200))
    with Client(server.url + "/prefix/") as chute:
        chute.call("/embed")
    assert server.requests[0].startswith(b"POST /prefix/embed HTTP/1.1\r\n")


def test_request_gives_the_raw_answer_whatever_its_status(chute):
    answer = chute.request("/broken", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "mine")
    assert answer.json()["detail"] == "Internal Server Error"


def test_an_argument_may_be_called_target_body_or_self(chute):
    assert chute.call("/echo/json", target=1, body=2, self=3)["body"] == {"target": 1, "body": 2, "self": 3}


def test_health_schema_and_readiness(chute):
    assert chute.health()["status"] == "healthy"
    assert chute.ready() is True
    assert "/embed" in chute.schema()["paths"]
