"""Arguments from a JSON body: the whole of it, or by name."""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Generic, NotRequired, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from chutes.errors import DefinitionError
from chutes.testing import TestClient
from support.arguments import Image, Prompt, call, problems
from support.serving import new_chute, serving

T = TypeVar("T")


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


class OldOptions(typing.TypedDict):
    name: str
    size: NotRequired[int]


async def takes_model(self, params: Prompt):
    return [type(params).__name__, params.text, params.limit]


async def takes_dataclass(self, point: Point):
    return [type(point).__name__, point.x, point.y]


async def takes_typed_dict(self, options: Options):
    return [type(options).__name__, *options.values()]


async def takes_old_typed_dict(self, options: OldOptions):
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
        (takes_old_typed_dict, {"name": "n", "size": "3"}, ["dict", "n", 3]),
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
    class Odd: ...

    chute = new_chute()

    @chute.cord("/run")
    async def run(self, thing: Odd): ...

    with (
        pytest.raises(DefinitionError, match=r"Cord 'run' cannot be served: pydantic cannot .*Odd'>\. Write"),
        TestClient(chute),
    ):
        pass
