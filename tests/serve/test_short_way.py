"""A cord on the short way answers to the letter as FastAPI does."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal
from unittest import mock

import pytest
from fastapi import Request
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from chutes.chute import Chute
from chutes.chute.chute import definition_of
from chutes.testing import TestClient
from support.serving import new_chute


class Prompt(BaseModel):
    text: str
    limit: int = Field(10, ge=1)
    kind: Literal["a", "b"] = "a"
    nested: "Prompt | None" = None


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    count: int
    share: float = 0.5


def cords() -> Chute:
    chute = new_chute()

    @chute.cord("/by-name")
    async def by_name(self, text: str, count: int = 1, share: float | None = None, tags: list[str] = []):
        return [text, count, share, tags]

    @chute.cord("/all-optional")
    async def all_optional(self, text: str = "t", data: dict[str, Any] | None = None):
        return [text, data]

    @chute.cord("/whole")
    async def whole(self, prompt: Prompt):
        return prompt

    @chute.cord("/strict")
    async def strict(self, body: Strict):
        return body

    @chute.cord("/dict")
    async def whole_dict(self, data: dict):
        return data

    @chute.cord("/typed-dict")
    async def typed_dict(self, data: dict[str, int]):
        return data

    @chute.cord("/schema", input_schema=Prompt)
    def schema(self, text, limit):
        return [text, limit]

    @chute.cord("/nothing")
    async def nothing(self):
        return "ok"

    @chute.cord("/request")
    async def with_request(self, text: str, request: Request):
        return [text, (await request.body()).decode("latin-1")]

    @chute.cord("/query", method="GET")
    async def query(
        self, word: str, count: int = 1, flag: bool = False, share: Annotated[float, Field(lt=9)] = 1.0
    ):
        return [word, count, flag, share]

    return chute


PATHS = [cord.path for cord in cords().cords if cord.method == "POST"]


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[TestClient, TestClient]]:
    """One client whose chute takes the short way, one whose chute leaves all to FastAPI."""
    with ExitStack() as stack:
        opened = []
        for switch in ("on", "off"):
            with mock.patch.dict(os.environ, CHUTES_FAST_PATH=switch):
                chute = cords()
                assert chute.app
            opened.append(stack.enter_context(TestClient(chute, headers={"X-Request-ID": "same"})))
            assert definition_of(chute).running.takes_short_way is (switch == "on")
        yield opened[0], opened[1]


def same_answer(clients, *request, **options):
    short, long = (client.request(*request, **options) for client in clients)
    shown = [(one.status_code, dict(one.headers), one.content) for one in (short, long)]
    assert shown[0] == shown[1]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["a", "1", "1.0", "true", "", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["text", "count", "share", "tags", "limit", "kind", "nested", "data", "body", "prompt", "x"]
)
OBJECTS = st.dictionaries(FIELDS, JSON, max_size=5)
BODIES = st.one_of(
    (OBJECTS | JSON).map(lambda value: json.dumps(value).encode()),
    (OBJECTS | JSON).map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")),
    OBJECTS.map(lambda value: json.dumps(value).encode()[:-1]),
    st.binary(max_size=8),
)
CONTENT_TYPES = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.a+json",
        "text/plain",
        "",
    ]
)


@settings(max_examples=400, deadline=None)
@given(path=st.sampled_from(PATHS), body=BODIES, content_type=CONTENT_TYPES)
@example(path="/by-name", body=b'{"text": "a", "text": "b"}', content_type="application/json")
@example(path="/by-name", body=b'{"text": "\\ud83d"}', content_type="application/json")
@example(path="/by-name", body=b'{"text": "a", "share": NaN}', content_type="application/json")
@example(path="/by-name", body=b'{"text": "a", "share": 1e999}', content_type="application/json")
@example(
    path="/by-name", body=b'{"text": "a", "count": 1' + b"0" * 5000 + b"}", content_type="application/json"
)
@example(path="/dict", body=b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", content_type="application/json")
@example(path="/dict", body=b'{"a": 12345678901234567890.123456789}', content_type="application/json")
@example(path="/dict", body=b'\xef\xbb\xbf{"a": 1}', content_type="application/json")
@example(path="/dict", body='{"a": "ü"}'.encode("utf-16"), content_type="application/json")
@example(path="/dict", body=b' {"a" : -0 , "b": -0.0} \n', content_type="application/json")
@example(path="/dict", body=b'{"a": 1} x', content_type="application/json")
@example(path="/dict", body=b'{"a": 01}', content_type="application/json")
@example(path="/dict", body=b'{"a": "\t"}', content_type="application/json")
@example(path="/strict", body=b'{"count": 1.0}', content_type="application/json")
@example(path="/all-optional", body=b"", content_type="application/json")
@example(path="/all-optional", body=b"null", content_type="application/json")
@example(path="/request", body=b'{"text": "t"}  ', content_type="application/json")
def test_any_body_is_answered_alike(clients, path, body, content_type):
    headers = {"content-type": content_type} if content_type else {}
    same_answer(clients, "POST", path, content=body, headers=headers)


QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["word", "count", "flag", "share", "x", ""]),
        st.text(max_size=4) | st.sampled_from(["1", "true", "1.5", "-0"]),
    ),
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(pairs=QUERIES)
@example(pairs=[("word", "a"), ("word", "b")])
@example(pairs=[("word", "a"), ("count", "")])
def test_any_query_is_answered_alike(clients, pairs):
    same_answer(clients, "GET", "/query", params=pairs)


@pytest.mark.parametrize(
    "query",
    [
        "word",
        "word=",
        "word=a&word=b",
        "=1&word=a",
        "word=%FF",
        "word=a+b%20c",
        "word=a;count=2",
        "&&word=a&",
    ],
)
def test_odd_queries_are_answered_alike(clients, query):
    same_answer(clients, "GET", f"/query?{query}")


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/by-name", "/by-name/", "/nowhere", "//by-name", "/by-name%2F"])
def test_other_verbs_and_paths_are_answered_alike(clients, method, path):
    same_answer(clients, method, path)


@pytest.mark.parametrize("parts", [[b'{"text"', b': "a"}'], [b"", b'{"text": "a"}', b""], [b'{"te', b"xt"]])
def test_a_body_in_several_messages_is_answered_alike(clients, parts):
    same_answer(
        clients, "POST", "/by-name", content=b"".join(parts), headers={"content-type": "application/json"}
    )
    short, long = (
        client.post("/by-name", content=iter(parts), headers={"content-type": "application/json"})
        for client in clients
    )
    assert (short.status_code, short.content) == (long.status_code, long.content)


def test_the_cords_of_this_page_do_take_the_short_way():
    routes = {route.path: route for route in cords().app.routes if hasattr(route, "fast")}
    assert [path for path in [*PATHS, "/query"] if routes[path].fast is None] in ([], ["/typed-dict"])
