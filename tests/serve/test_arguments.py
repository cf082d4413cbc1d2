"""Arguments from a JSON body: the whole of it, or by name."""

import dataclasses
import datetime as dt
import enum
import functools
import sys
import typing
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from typing_extensions import NotRequired, TypedDict

from chutes.errors import DefinitionError
from chutes.testing import TestClient
from support.serving import new_chute, serving

T = TypeVar("T")


class Prompt(BaseModel):
    text: str
    limit: int = Field(10, ge=1, le=100)

    @field_validator("text")
    @classmethod
    def not_blank(cls, text):
        if not text.strip():
            raise ValueError("is blank")
        return text


class Image(BaseModel):
    url: str


class Box(BaseModel, Generic[T]):
    item: T


class Numbers(RootModel[list[int]]): ...


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    name: str
    size: NotRequired[int]


class Colour(enum.Enum):
    RED = "red"


def call(function, body=None, *, method="POST", **options):
    with serving(function, method=method, **options) as client:
        if isinstance(body, bytes):
            headers = {"content-type": "application/json"}
            return client.request(method, "/run", content=body, headers=headers)
        return client.request(method, "/run", **({} if body is None else {"json": body}))


def problems(response):
    assert response.status_code == 422
    return [(tuple(one["loc"]), one["type"]) for one in response.json()["detail"]]


async def takes_model(self, params: Prompt):
    return [type(params).__name__, params.text, params.limit]


async def takes_dataclass(self, point: Point):
    return [type(point).__name__, point.x, point.y]


async def takes_typed_dict(self, options: Options):
    return [type(options).__name__, *options.values()]


async def takes_dict(self, data: dict):
    return ["dict", data]


async def takes_typed_mapping(self, data: dict[str, int]):
    return ["dict", data]


async def takes_mapping(self, data: Mapping[str, Any]):
    return ["dict", dict(data)]


async def takes_root_model(self, numbers: Numbers):
    return [type(numbers).__name__, *numbers.root]


async def takes_generic(self, box: Box[int]):
    return [type(box).__name__, box.item]


async def takes_annotated(self, params: Annotated[Prompt, Field(description="What to do")]):
    return [type(params).__name__, params.text, params.limit]


async def takes_union(self, what: Prompt | Image):
    return [type(what).__name__]


async def takes_optional(self, params: Prompt | None = None):
    return [params and params.text]


@pytest.mark.parametrize(
    ("function", "body", "result"),
    [
        (takes_model, {"text": "a"}, ["Prompt", "a", 10]),
        (takes_model, {"text": "a", "limit": "7", "unknown": 1}, ["Prompt", "a", 7]),
        (takes_dataclass, {"x": 1}, ["Point", 1, 0]),
        (takes_typed_dict, {"name": "n", "size": 3}, ["dict", "n", 3]),
        (takes_typed_dict, {"name": "n"}, ["dict", "n"]),
        (takes_dict, {"a": [1, {"b": None}]}, ["dict", {"a": [1, {"b": None}]}]),
        (takes_dict, {"data": 1}, ["dict", {"data": 1}]),
        (takes_dict, {}, ["dict", {}]),
        (takes_typed_mapping, {"a": "1"}, ["dict", {"a": 1}]),
        (takes_mapping, {"a": "1"}, ["dict", {"a": "1"}]),
        (takes_root_model, [1, 2], ["Numbers", 1, 2]),
        (takes_generic, {"item": 4}, ["Box[int]", 4]),
        (takes_annotated, {"text": "a"}, ["Prompt", "a", 10]),
        (takes_union, {"text": "a"}, ["Prompt"]),
        (takes_union, {"url": "a"}, ["Image"]),
        (takes_optional, {"text": "a"}, ["a"]),
        (takes_optional, None, [None]),
        (takes_optional, b"null", [None]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_one_model_or_dict_takes_the_whole_body(function, body, result, method):
    response = call(function, body, method=method)
    assert (response.status_code, response.json()) == (200, result)


@pytest.mark.parametrize(
    ("function", "body", "found"),
    [
        (takes_model, {}, [(("body", "text"), "missing")]),
        (takes_model, {"text": " "}, [(("body", "text"), "value_error")]),
        (takes_model, {"text": "a", "limit": 101}, [(("body", "limit"), "less_than_equal")]),
        (takes_model, [1], [(("body",), "model_attributes_type")]),
        (takes_model, None, [(("body",), "missing")]),
        (takes_dataclass, {"x": "no"}, [(("body", "x"), "int_parsing")]),
        (takes_typed_dict, {"size": 1}, [(("body", "name"), "missing")]),
        (takes_dict, [1], [(("body",), "dict_type")]),
        (takes_dict, None, [(("body",), "missing")]),
        (takes_typed_mapping, {"a": "no"}, [(("body", "a"), "int_parsing")]),
        (takes_model, b"{", [(("body", 1), "json_invalid")]),
        (takes_dict, b"{'a': 1}", [(("body", 1), "json_invalid")]),
    ],
)
def test_a_body_that_does_not_fit_gets_422_with_fastapis_details(function, body, found):
    assert problems(call(function, body)) == found


def test_a_body_that_is_no_text_gets_an_error_of_the_client():
    assert call(takes_model, b"\xff\xfe").status_code in (400, 422)


async def by_name(
    self,
    prompt: str,
    count: int = 2,
    ratio: float = 0.5,
    *,
    flag: bool = False,
    colour: Colour = Colour.RED,
    when: dt.datetime | None = None,
    identity: uuid.UUID | None = None,
    kind: Literal["a", "b"] = "a",
    tags: list[str] = [],  # noqa: B006 - a mutable default is what is tested
    nested: Prompt | None = None,
    anything=None,
):
    return [prompt, count, ratio, flag, colour, when and when.year, identity, kind, tags, nested, anything]


def test_parameters_are_taken_by_name_with_their_types_and_defaults():
    assert call(by_name, {"prompt": "p"}).json() == [
        "p",
        2,
        0.5,
        False,
        "red",
        None,
        None,
        "a",
        [],
        None,
        None,
    ]
    full = {
        "prompt": "p",
        "count": "3",
        "ratio": 1,
        "flag": "yes",
        "colour": "red",
        "when": "2024-01-02T03:04:05Z",
        "identity": "12345678-1234-5678-1234-567812345678",
        "kind": "b",
        "tags": ["t"],
        "nested": {"text": "n"},
        "anything": [1],
        "unknown": 1,
    }
    result = ["p", 3, 1.0, True, "red", 2024, full["identity"], "b", ["t"], {"text": "n", "limit": 10}, [1]]
    assert call(by_name, full).json() == result


def test_all_that_is_wrong_is_said_at_once():
    body = {"count": "x", "kind": "c", "nested": {"text": ""}}
    assert problems(call(by_name, body)) == [
        (("body", "prompt"), "missing"),
        (("body", "count"), "int_parsing"),
        (("body", "kind"), "literal_error"),
        (("body", "nested", "text"), "value_error"),
    ]


@pytest.mark.parametrize("body", [[1], "text", 1, None])
def test_parameters_by_name_need_an_object(body):
    assert call(by_name, body).status_code == 422


def test_a_mutable_default_is_fresh_for_every_call():
    async def grow(self, items: list[int] = [], options: dict = {}):  # noqa: B006 - this is what is tested
        items.append(len(items))
        options[len(options)] = 1
        return [items, len(options)]

    with serving(grow) as client:
        assert client.post("/run", json={}).json() == client.post("/run", json={}).json() == [[0], 1]


@pytest.mark.parametrize("body", [None, {}])
def test_when_every_parameter_has_a_default_the_body_may_be_left_out(body):
    async def run(self, prompt: str = "hello", count: int = 1):
        return prompt * count

    assert call(run, body).json() == "hello"


def test_one_plain_parameter_goes_by_name_too():
    async def run(self, prompt: str):
        return prompt

    assert call(run, {"prompt": "p"}).json() == "p"
    assert problems(call(run, "p")) == [(("body",), "model_attributes_type")]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Any, {"a": 1}),
        (list[int], [1, 2]),
        (list[Image], [{"url": "u"}]),
        (int | str, "x"),
        (Prompt | str, "x"),
        (dict | list, [1]),
        (float | None, None),
        (tuple[int, str], [1, "a"]),
        (set[int], [1]),
        (bytes, "text"),
    ],
)
def test_any_other_single_parameter_goes_by_name(hint, value):
    async def run(self, it):
        return it

    run.__annotations__["it"] = hint
    assert call(run, {"it": value}).json() == value


def test_a_parameter_without_a_hint_takes_anything():
    async def run(self, data, more):
        return [data, more]

    assert call(run, {"data": {"a": 1}, "more": None}).json() == [{"a": 1}, None]
    assert problems(call(run, {"data": 1})) == [(("body", "more"), "missing")]


def test_several_models_go_by_name():
    async def run(self, prompt: Prompt, image: Image, data: dict):
        return [prompt.text, image.url, data]

    body = {"prompt": {"text": "t"}, "image": {"url": "u"}, "data": {"d": 1}}
    assert call(run, body).json() == ["t", "u", {"d": 1}]


def test_parameters_may_have_names_that_pydantic_uses_itself():
    async def run(
        self, json: str, copy: int, _x: int, model_config: str, model_name: str, schema: str = "s", __y=1
    ):
        return [json, copy, _x, model_config, model_name, schema, __y]

    body = {"json": "j", "copy": 1, "_x": 2, "model_config": "m", "model_name": "n"}
    assert call(run, body).json() == ["j", 1, 2, "m", "n", "s", 1]
    assert problems(call(run, {**body, "_x": "no"})) == [(("body", "_x"), "int_parsing")]


def test_a_renamed_parameter_does_not_meet_one_of_that_name():
    async def run(self, json: str, field_json: str):
        return [json, field_json]

    assert call(run, {"json": "a", "field_json": "b"}).json() == ["a", "b"]


def test_constraints_are_kept():
    async def run(
        self,
        count: Annotated[int, Field(ge=1)] = 1,
        prompt: str = Field(..., min_length=2, description="Text"),
        share: float = Field(0.5, lt=1),
        json: Annotated[int, Field(ge=1)] = Field(5, description="renamed"),
    ):
        return [count, prompt, share, json]

    assert call(run, {"prompt": "ab"}).json() == [1, "ab", 0.5, 5]
    assert problems(call(run, {"prompt": "a", "count": 0, "share": 2, "json": 0})) == [
        (("body", "count"), "greater_than_equal"),
        (("body", "prompt"), "string_too_short"),
        (("body", "share"), "less_than"),
        (("body", "json"), "greater_than_equal"),
    ]


def test_positional_only_and_variadic_parameters():
    async def run(self, first: int, second: int = 2, /, third: int = 3, *rest, fourth: int = 4, **more):
        return [first, second, third, fourth, rest, more]

    assert call(run, {"first": 1, "rest": [9], "more": {}, "x": 1}).json() == [1, 2, 3, 4, [], {}]


@pytest.mark.parametrize("body", [None, b"{", b"\xff", {"a": 1}])
def test_without_parameters_the_body_is_ignored(body):
    async def run(self):
        return "ok"

    assert call(run, body).json() == "ok"


def test_only_variadic_parameters_count_as_none():
    async def run(self, *args, **kwargs):
        return [args, kwargs]

    assert call(run, b"{").json() == [[], {}]


@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.api+json; charset=utf-8"])
def test_json_is_known_by_its_content_type(content_type):
    with serving(takes_model) as client:
        ok = client.post("/run", content=b'{"text": "a"}', headers={"content-type": content_type})
        other = client.post("/run", content=b'{"text": "a"}', headers={"content-type": "text/plain"})
    assert (ok.status_code, other.status_code) == (200, 422)


def test_sync_functions_partials_and_wrapped_ones_get_the_same_arguments():
    def sync(self, prompt: str, count: int = 1):
        return prompt * count

    @functools.wraps(sync)
    def wrapped(*args, **kwargs):
        return sync(*args, **kwargs) + "!"

    chute = new_chute()
    chute.cord("/sync")(sync)
    with pytest.warns(UserWarning, match="Two functions"):
        chute.cord("/wrapped")(wrapped)
    with TestClient(chute) as client:
        assert client.post("/sync", json={"prompt": "a", "count": 2}).json() == "aa"
        assert client.post("/wrapped", json={"prompt": "a"}).json() == "a!"


def test_models_with_aliases_and_forbidden_extras_keep_their_rules():
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        max_tokens: int = Field(alias="maxTokens")

    async def run(self, params: Strict):
        return params.max_tokens

    assert call(run, {"maxTokens": 3}).json() == 3
    assert problems(call(run, {"maxTokens": "3", "x": 1})) == [
        (("body", "maxTokens"), "int_type"),
        (("body", "x"), "extra_forbidden"),
    ]


def test_a_hint_that_no_rule_fits_is_refused_with_the_cords_name():
    class Odd: ...

    chute = new_chute()

    @chute.cord("/run")
    async def run(self, thing: Odd, prompt: str): ...

    with pytest.raises(DefinitionError, match="run"):
        chute.app  # noqa: B018 - reading it is the test


def test_a_cord_that_cannot_be_served_ends_the_startup():
    class Old(typing.TypedDict):
        size: int

    chute = new_chute()

    @chute.cord("/run")
    async def run(self, options: Old): ...

    if sys.version_info < (3, 12):
        with (
            pytest.raises(DefinitionError, match=r"Cord 'run'.*typing_extensions.TypedDict"),
            TestClient(chute),
        ):
            pass
