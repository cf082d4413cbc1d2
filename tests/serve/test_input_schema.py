"""`input_schema`: the input is validated as one type; its fields, or all of it, become the arguments."""

import dataclasses
from typing import Annotated, Any

import pytest
from fastapi import File, Request, UploadFile
from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict

from chutes.errors import DefinitionError
from chutes.testing import TestClient
from support.serving import new_chute, serving


class Nested(BaseModel):
    size: int = 1


class Prompt(BaseModel):
    text: str
    limit: int = Field(10, ge=1)
    nested: Nested = Nested()

    @model_validator(mode="after")
    def short_enough(self):
        if len(self.text) > self.limit:
            raise ValueError("is too long")
        return self


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    name: str


def call(function, body, **options):
    with serving(function, **options) as client:
        return client.post("/run", json=body)


async def one_model(self, params: Prompt):
    return [type(params).__name__, params.text, params.limit]


async def one_unannotated(self, params):
    return [type(params).__name__, params.text, params.limit]


async def one_with_another_hint(self, prompt: str):
    return [type(prompt).__name__, prompt.text, prompt.limit]


async def one_anything(self, params: Any):
    return [type(params).__name__, params.text, params.limit]


@pytest.mark.parametrize("function", [one_model, one_unannotated, one_with_another_hint, one_anything])
def test_a_single_parameter_takes_the_whole_model(function):
    assert call(function, {"text": "a", "x": 1}, input_schema=Prompt).json() == ["Prompt", "a", 10]


def test_a_dict_parameter_gets_the_validated_fields_with_defaults():
    async def run(self, data: dict):
        return data

    expected = {"text": "a", "limit": 10, "nested": {"size": 1}}
    assert call(run, {"text": "a", "x": 1}, input_schema=Prompt).json() == expected


def test_several_parameters_get_the_fields_of_the_validated_model():
    async def run(self, text, limit: str = "unused", nested=None, other: str = "own default"):
        return [text, limit, type(nested).__name__, other]

    body = {"text": "a", "limit": "3", "other": "x"}
    assert call(run, body, input_schema=Prompt).json() == ["a", 3, "Nested", "own default"]


def test_a_field_left_out_has_the_models_default_not_the_functions():
    async def run(self, text: str, limit: int = 99):
        return [text, limit]

    assert call(run, {"text": "a"}, input_schema=Prompt).json() == ["a", 10]


def test_the_model_may_stand_among_its_fields():
    async def run(self, params: Prompt, text: str):
        return [params.limit, text]

    assert call(run, {"text": "a"}, input_schema=Prompt).json() == [10, "a"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, [["body", "text"]]),
        ({"text": "a", "limit": 0}, [["body", "limit"]]),
        ({"text": "abc", "limit": 2}, [["body"]]),
        (None, [["body"]]),
        ([], [["body"]]),
    ],
)
def test_the_schema_validates_however_the_function_takes_it(body, found):
    async def spread(self, text: str, limit: int): ...
    async def whole(self, data: dict): ...

    for function in (spread, whole, one_unannotated):
        response = call(function, body, input_schema=Prompt)
        assert response.status_code == 422
        assert [one["loc"] for one in response.json()["detail"]] == found


def test_the_schema_may_be_a_dataclass_a_typed_dict_or_another_type():
    async def spread(self, x, y):
        return [x, y]

    async def typed(self, name, more=1):
        return [name, more]

    async def numbers(self, values):
        return values

    assert call(spread, {"x": "1"}, input_schema=Point).json() == [1, 0]
    assert call(typed, {"name": "n"}, input_schema=Options).json() == ["n", 1]
    assert call(numbers, ["1", 2], input_schema=list[int]).json() == [1, 2]
    assert call(numbers, ["x"], input_schema=list[int]).status_code == 422


def test_a_json_schema_documents_and_leaves_the_parameters_as_they_are():
    async def run(self, text: str, limit: int = 1):
        return [text, limit]

    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    assert call(run, {"text": "a"}, input_schema=schema).json() == ["a", 1]


def test_what_fastapi_injects_stands_beside_the_schema():
    async def run(self, request: Request, text: str, limit: int, item: int):
        return [request.method, text, limit, item]

    chute = new_chute()
    chute.cord("/items/{item}", input_schema=Prompt)(run)
    with TestClient(chute) as client:
        assert client.post("/items/7", json={"text": "a"}).json() == ["POST", "a", 10, 7]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_without_a_body_the_schema_is_read_from_the_query(method):
    async def run(self, text: str, limit: int):
        return [text, limit]

    with serving(run, input_schema=Prompt, method=method) as client:
        assert client.request(method, "/run", params={"text": "a", "limit": "2"}).json() == ["a", 2]
        assert client.request(method, "/run", params={"text": "abc", "limit": "2"}).status_code == 422
        assert client.request(method, "/run").status_code == 422


def test_beside_a_file_the_schema_is_read_from_the_form():
    async def run(self, params: Prompt, file: Annotated[UploadFile, File()]):
        return [params.text, params.limit, params.nested.size, file.size]

    with serving(run, input_schema=Prompt) as client:
        data = {"text": "a", "nested": '{"size": 4}'}
        assert client.post("/run", data=data, files={"file": b"123"}).json() == ["a", 10, 4, 3]
        assert client.post("/run", data={"limit": "x"}, files={"file": b""}).status_code == 422


def test_a_parameter_that_is_no_field_is_refused_where_it_is_written():
    async def run(self, text: str, lenght: int): ...

    chute = new_chute()
    chute.cord("/run", input_schema=Prompt)(run)
    with pytest.raises(
        DefinitionError,
        match=r"Cord 'run' takes 'lenght', which is no field of its input_schema Prompt \(text, limit, nested\)",
    ):
        chute.app  # noqa: B018 - reading it is the test
