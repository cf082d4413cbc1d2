"""Arguments from the path, and from the query of GET, DELETE and HEAD."""

import dataclasses
import datetime as dt
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from fastapi import Path, Query
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from chutes.testing import TestClient
from support.serving import new_chute, serving

UUID = "12345678-1234-5678-1234-567812345678"


def problems(response):
    assert response.status_code == 422
    return [(tuple(one["loc"]), one["type"]) for one in response.json()["detail"]]


@pytest.mark.parametrize(
    ("placeholder", "hint", "sent", "value"),
    [
        ("{it}", str, "a%20b", "a b"),
        ("{it}", None, "7", "7"),
        ("{it}", int, "7", 7),
        ("{it}", uuid.UUID, UUID, UUID),
        ("{it}", dt.date, "2024-01-02", "2024-01-02"),
        ("{it}", Literal["a", "b"], "b", "b"),
        ("{it:str}", str, "x", "x"),
        ("{it:int}", int, "7", 7),
        ("{it:int}", None, "7", 7),
        ("{it:float}", float, "7.5", 7.5),
        ("{it:uuid}", uuid.UUID, UUID, UUID),
        ("{it:path}", str, "a/b/c", "a/b/c"),
        ("{it}", Annotated[int, Path(ge=5)], "7", 7),
        ("{it}", Annotated[int, Field(ge=5)], "7", 7),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_path_parameters_have_their_types(placeholder, hint, sent, value, method):
    async def run(self, it):
        return it

    if hint is not None:
        run.__annotations__["it"] = hint
    with serving(run, "/items/" + placeholder, method=method) as client:
        assert client.request(method, f"/items/{sent}").json() == value


def test_a_path_parameter_that_does_not_fit():
    async def run(self, it: Annotated[int, Path(ge=5)], word: str): ...

    with serving(run, "/{it}/{word}", method="GET") as client:
        assert problems(client.get("/x/y")) == [(("path", "it"), "int_parsing")]
        assert problems(client.get("/1/y")) == [(("path", "it"), "greater_than_equal")]
        assert client.get("/1/y/z").status_code == 404


def test_a_convertor_decides_which_requests_arrive():
    async def run(self, it: int):
        return it

    with serving(run, "/items/{it:int}", method="GET") as client:
        assert client.get("/items/x").status_code == 404


def test_path_parameters_stand_beside_the_body():
    async def run(self, text: str, user: str, limit: int = 1):
        return [text, user, limit]

    with serving(run, "/users/{user}") as client:
        assert client.post("/users/bob", json={"text": "t", "user": "eve"}).json() == ["t", "bob", 1]


def test_a_placeholder_that_no_parameter_takes_is_fine():
    async def run(self):
        return "ok"

    with serving(run, "/users/{user}") as client:
        assert client.post("/users/bob").json() == "ok"


class Colour(enum.Enum):
    RED = "red"


async def typed(
    self,
    word: str,
    count: int = 1,
    *,
    flag: bool = False,
    colour: Colour = Colour.RED,
    when: dt.datetime | None = None,
    tags: list[str] = [],
    numbers: list[int] | None = None,
    unique: set[int] = set(),
    maybe: int | None = None,
    anything=None,
    _private: str = "p",
    json: int = 0,
):
    return [
        word,
        count,
        flag,
        colour,
        when and when.year,
        tags,
        numbers,
        sorted(unique),
        maybe,
        anything,
        _private,
        json,
    ]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_query_is_taken_by_name_with_types_and_defaults(method):
    query = "word=w&count=2&flag=true&colour=red&when=2024-01-02T03:04:05&tags=a&tags=b&numbers=1&unique=2&unique=2"
    with serving(typed, method=method) as client:
        least = client.request(method, "/run?word=w").json()
        full = client.request(method, f"/run?{query}&maybe=3&anything=x&_private=q&json=9&unknown=1").json()
    assert least == ["w", 1, False, "red", None, [], None, [], None, None, "p", 0]
    assert full == ["w", 2, True, "red", 2024, ["a", "b"], [1], [2], 3, "x", "q", 9]


def test_all_that_is_wrong_in_the_query_is_said_at_once():
    with serving(typed, method="GET") as client:
        response = client.get("/run?count=x&colour=blue&numbers=1&numbers=y")
    assert problems(response) == [
        (("query", "word"), "missing"),
        (("query", "count"), "int_parsing"),
        (("query", "colour"), "enum"),
        (("query", "numbers", 1), "int_parsing"),
    ]


def test_constraints_of_the_query_are_kept():
    async def run(
        self,
        count: Annotated[int, Field(ge=1)] = 1,
        limit: int = Field(5, le=10, description="How many"),
        word: str = Field(...),
        share: Annotated[float, Query(lt=1)] = 0.5,
    ):
        return [count, limit, word, share]

    with serving(run, method="GET") as client:
        assert client.get("/run?word=w").json() == [1, 5, "w", 0.5]
        assert sorted(problems(client.get("/run?count=0&limit=11&share=2"))) == [
            (("query", "count"), "greater_than_equal"),
            (("query", "limit"), "less_than_equal"),
            (("query", "share"), "less_than"),
            (("query", "word"), "missing"),
        ]


def test_a_head_cord_reads_the_query_and_sends_no_body():
    seen = []

    async def run(self, word: str):
        seen.append(word)
        return "body"

    with serving(run, method="HEAD") as client:
        response = client.head("/run?word=w")
    assert (response.status_code, response.content, seen) == (200, b"", ["w"])


def test_a_body_of_a_get_is_ignored():
    async def run(self, word: str = "default"):
        return word

    with serving(run, method="GET") as client:
        assert client.request("GET", "/run", json={"word": "body"}).json() == "default"


class Page(BaseModel):
    size: int = Field(10, ge=1, description="Rows of a page")
    after: dt.date | None = None
    tags: list[str] = []
    sort_by: str = Field("name", alias="sortBy")
    made: list[int] = Field(default_factory=lambda: [1])
    word: str

    @field_validator("word")
    @classmethod
    def no_spam(cls, word):
        if word == "spam":
            raise ValueError("is spam")
        return word


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    name: str


async def takes_page(self, page: Page):
    return [page.size, page.after, page.tags, page.sort_by, page.made, page.word]


def test_one_model_is_spread_over_the_query():
    with serving(takes_page, method="GET") as client:
        assert client.get("/run?word=w&unknown=1").json() == [10, None, [], "name", [1], "w"]
        query = "word=w&size=2&after=2024-01-02&tags=a&tags=b&sortBy=age&made=7"
        assert client.get(f"/run?{query}").json() == [2, "2024-01-02", ["a", "b"], "age", [7], "w"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [(("query", "word"), "missing")]),
        ("word=w&size=0", [(("query", "size"), "greater_than_equal")]),
        (
            "size=x&after=y",
            [
                (("query", "size"), "int_parsing"),
                (("query", "after"), "date_from_datetime_parsing"),
                (("query", "word"), "missing"),
            ],
        ),
        ("word=spam", [(("query", "word"), "value_error")]),
    ],
)
def test_a_spread_model_names_each_wrong_field(query, found):
    with serving(takes_page, method="GET") as client:
        assert problems(client.get(f"/run?{query}")) == found


def test_dataclasses_and_typed_dicts_are_spread_too():
    async def point(self, point: Point):
        return [point.x, point.y]

    async def options(self, options: Options, count: int = 1):
        return [options, count]

    with serving(point, method="GET") as client:
        assert client.get("/run?x=1").json() == [1, 0]
    with serving(options, method="GET") as client:
        assert client.get("/run?name=n&count=2").json() == [{"name": "n"}, 2]


def test_an_optional_model_is_none_when_none_of_its_fields_is_given():
    async def run(self, page: Page | None = None):
        return page and page.word

    with serving(run, method="GET") as client:
        assert client.get("/run?other=1").json() is None
        assert client.get("/run?word=w").json() == "w"
        assert problems(client.get("/run?size=1")) == [(("query", "word"), "missing")]


def test_one_dict_takes_the_whole_query():
    async def run(self, data: dict):
        return data

    with serving(run, method="GET") as client:
        assert client.get("/run").json() == {}
        assert client.get("/run?a=1&b=x&b=y&c=").json() == {"a": "1", "b": ["x", "y"], "c": ""}


def test_a_typed_dict_of_the_query_is_validated():
    async def run(self, data: dict[str, int]):
        return data

    with serving(run, method="GET") as client:
        assert client.get("/run?a=1").json() == {"a": 1}
        assert problems(client.get("/run?a=x")) == [(("query", "a"), "int_parsing")]


def test_a_dict_takes_what_other_parameters_leave():
    async def run(self, limit: int = 1, data: dict[str, Any] = {}):
        return [limit, data]

    with serving(run, method="GET") as client:
        assert client.get("/run?limit=2&a=1").json() == [2, {"a": "1"}]


def test_a_model_beside_another_is_json_text_in_the_query():
    async def run(self, point: Point, other: Point):
        return [point.x, other.x]

    with serving(run, method="GET") as client:
        assert client.get("/run", params={"point": '{"x": 1}', "other": '{"x": 2}'}).json() == [1, 2]
        assert client.get("/run", params={"point": "x", "other": '{"x": 2}'}).status_code == 422


def test_query_parameters_of_a_post_are_marked_as_such():
    async def run(self, text: str, limit: Annotated[int, Query(ge=1)] = 5):
        return [text, limit]

    with serving(run) as client:
        assert client.post("/run?limit=2&text=query", json={"text": "t", "limit": 9}).json() == ["t", 2]
        assert problems(client.post("/run?limit=0", json={"text": "t"})) == [
            (("query", "limit"), "greater_than_equal")
        ]


@pytest.mark.parametrize("wrong", ["PUT", "GET", "DELETE"])
def test_another_verb_gets_405_with_the_allowed_one(wrong):
    async def run(self): ...

    with serving(run) as client:
        response = client.request(wrong, "/run")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_a_trailing_slash_is_redirected():
    async def run(self):
        return "ok"

    chute = new_chute()
    chute.cord("/run")(run)
    with TestClient(chute, follow_redirects=True) as client:
        assert client.post("/run/").json() == "ok"
