"""Arguments from a JSON body, each by its name."""

import datetime as dt
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from support.arguments import Image, Prompt, call, problems
from support.serving import serving


class Colour(enum.Enum):
    RED = "red"


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
    tags: list[str] = [],
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
    async def grow(self, items: list[int] = [], options: dict = {}):
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
        self, *, json: str, copy: int, _x: int, model_config: str, model_name: str, schema: str = "s", __y=1
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
