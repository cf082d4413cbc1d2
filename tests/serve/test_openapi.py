"""What `/openapi.json` says of cords."""

import dataclasses
import enum
from typing import Annotated

import fastapi
import pytest
from fastapi import Body, Depends, Form, Header, Query, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from openapi_spec_validator import validate
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from support.openapi import body_schema, described, operation
from support.outputs import Answer, arrays, events, file, nothing, page, parts, picture, raw, tokens, unknown
from support.serving import new_chute


class Prompt(BaseModel):
    text: str = Field(description="What to say")
    limit: int = Field(10, ge=1)


class Least(BaseModel):
    text: str = Field(examples=["Hello"])
    temperature: float = 0.7


@dataclasses.dataclass
class Point:
    x: int


class Options(TypedDict):
    name: str


class Colour(enum.Enum):
    RED = "red"


async def by_name(self, prompt: str, count: Annotated[int, Field(ge=1)] = 1, json: str = "j") -> Answer:
    """Say it.

    In full.
    """


async def whole(self, params: Prompt) -> list[Answer]: ...
async def whole_dict(self, data: dict): ...
async def typed_dict(self, options: Options) -> Point: ...
async def union(self, what: Prompt | Point) -> dict[str, int]: ...
async def optional(self, params: Prompt | None = None) -> str: ...
async def unannotated(self, data, more=1): ...
async def several(self, prompt: Prompt, point: Point) -> int: ...
async def response(self, request: Request, response: Response) -> Response: ...
async def injected(self, text: str, user: Annotated[str, Depends(lambda: "u")], note: str = Body("")): ...
async def headers(self, text: str, x_token: Annotated[str, Header()], limit: Annotated[int, Query()] = 1): ...
async def upload(
    self, file: UploadFile, more: list[UploadFile], options: Prompt, point: Point | None = None
): ...
async def upload_and_dict(self, file: UploadFile, data: dict): ...
async def by_query(self, word: str, count: int = 1, tags: list[str] = [], colour: Colour = Colour.RED): ...
async def spread(self, params: Prompt): ...
async def spread_dict(self, data: dict): ...
async def nested_query(self, prompt: Prompt, point: Point): ...
async def streaming_response(self) -> StreamingResponse: ...


CORDS = [
    (by_name, {}),
    (whole, {"input_schema": Prompt, "output_schema": Answer, "minimal_input_schema": Least}),
    (whole, {}),
    (whole_dict, {}),
    (whole_dict, {"input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}),
    (whole_dict, {"output_schema": {"type": "object"}}),
    (typed_dict, {}),
    (union, {}),
    (optional, {}),
    (nothing, {}),
    (nothing, {"status_code": 204, "method": "DELETE"}),
    (unannotated, {}),
    (several, {}),
    (arrays, {}),
    (picture, {"output_content_type": "image/png"}),
    (raw, {"output_content_type": "audio/wav"}),
    (raw, {}),
    (file, {}),
    (page, {}),
    (response, {}),
    (injected, {}),
    (headers, {}),
    (upload, {}),
    (upload_and_dict, {}),
    (by_query, {"method": "GET"}),
    (by_query, {"method": "DELETE"}),
    (by_query, {"method": "HEAD"}),
    (spread, {"method": "GET"}),
    (spread_dict, {"method": "GET"}),
    (nested_query, {"method": "GET"}),
    (tokens, {"stream": True}),
    (parts, {"stream": True}),
    (events, {"stream": True}),
    (unknown, {"stream": True}),
    (streaming_response, {"stream": True}),
    (tokens, {"stream": True, "output_content_type": "text/event-stream"}),
    (by_name, {"output_content_type": "application/vnd.acme+json"}),
    (
        by_name,
        {"tags": ["a"], "summary": "Own", "responses": {404: {"description": "None"}}, "deprecated": True},
    ),
    (by_name, {"include_in_schema": False}),
]


@pytest.mark.filterwarnings("ignore:Two functions are named")
def test_an_application_with_every_form_of_cord_is_described_validly():
    chute = new_chute()
    for number, (function, options) in enumerate(CORDS):
        chute.cord(f"/{number}/{{item}}" if number % 5 == 0 else f"/{number}", **options)(function)
    chute.websocket("/talk")(nothing)
    document = chute.app.openapi()
    validate(document)
    assert document["openapi"].startswith("3.1")
    identities = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(identities) == len(set(identities)) == len(CORDS) - 1
    assert not any(path.startswith(("/metrics", "/docs", "/health", "/talk")) for path in document["paths"])


def test_the_docstring_is_the_description_and_the_name_the_summary():
    found = operation(by_name)
    assert (found["summary"], found["description"]) == ("By name", "Say it.\n\nIn full.")
    assert operation(by_name, summary="Own", description="Text", tags=["a"])["summary"] == "Own"


def test_parameters_by_name_are_fields_of_one_object():
    document, found = described(by_name)
    schema = body_schema(document, found)
    assert schema["required"] == ["prompt"]
    assert schema["properties"] == {
        "prompt": {"type": "string", "title": "Prompt"},
        "count": {"type": "integer", "minimum": 1, "default": 1, "title": "Count"},
        "json": {"type": "string", "default": "j", "title": "Json"},
    }
    assert found["requestBody"]["required"] is True


@pytest.mark.parametrize(
    ("function", "options", "title"),
    [(whole, {}, "Prompt"), (whole_dict, {"input_schema": Prompt}, "Prompt"), (typed_dict, {}, "Options")],
)
def test_the_whole_input_is_shown_as_its_type(function, options, title):
    document, found = described(function, **options)
    assert body_schema(document, found)["title"] == title


def test_an_input_that_may_be_left_out_is_not_required():
    async def run(self, prompt: str = "hello"): ...

    assert not operation(run)["requestBody"].get("required", False)
    assert not operation(optional)["requestBody"].get("required", False)
    assert "requestBody" not in operation(nothing)


def example_of(found, media_type="application/json"):
    return found["requestBody"]["content"][media_type]["examples"]["minimal"]["value"]


class Nested(BaseModel):
    prompt: Least
    colour: Colour
    size: Annotated[int, Field(ge=3)]
    tags: list[str]
    maybe: int | None = None


@pytest.mark.parametrize(
    ("minimal", "example"),
    [
        (Least, {"text": "Hello", "temperature": 0.7}),
        (Least(text="Own"), {"text": "Own", "temperature": 0.7}),
        (Nested, {"prompt": {"text": "Hello", "temperature": 0.7}, "colour": "red", "size": 3, "tags": []}),
        (Point, {"x": 0}),
        (Point(7), {"x": 7}),
        ({"text": "dict"}, {"text": "dict"}),
        ({"type": "object", "properties": {"text": {"type": "string", "default": "d"}}}, {"text": "d"}),
    ],
    ids=repr,
)
def test_the_minimal_input_is_the_example(minimal, example):
    found = operation(whole, input_schema=Prompt, minimal_input_schema=minimal)
    assert example_of(found) == example
    assert found["requestBody"]["content"]["application/json"]["schema"]


async def fields_alone(self, name: Annotated[str, Form()], count: int = 1): ...


def test_the_example_has_the_names_that_a_request_has():
    class Renamed(BaseModel):
        limit: int = Field(alias="maxTokens")

    assert example_of(operation(whole, minimal_input_schema=Renamed(maxTokens=3))) == {"maxTokens": 3}


@pytest.mark.parametrize(
    ("function", "media_type"),
    [(upload, "multipart/form-data"), (fields_alone, "application/x-www-form-urlencoded")],
)
def test_the_minimal_input_of_a_form_stands_with_the_form(function, media_type):
    found = operation(function, minimal_input_schema=Least)
    assert list(found["requestBody"]["content"]) == [media_type]
    assert example_of(found, media_type)["text"] == "Hello"


def test_files_and_fields_are_shown_as_one_form():
    document, found = described(upload)
    assert set(body_schema(document, found, "multipart/form-data")["properties"]) == {
        "file",
        "more",
        "options",
        "point",
    }


def test_a_json_schema_as_input_is_shown():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    shown = operation(whole_dict, input_schema=schema)["requestBody"]["content"]["application/json"]["schema"]
    assert shown.items() >= schema.items()


def test_files_are_required_unless_they_have_a_default():
    document, found = described(upload)
    schema = body_schema(document, found, "multipart/form-data")
    assert {"file", "more", "options"} <= set(schema["required"])
    assert schema["properties"]["more"]["type"] == "array"


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_the_query_is_shown_as_parameters(method):
    found = operation(by_query, method=method)
    shown = {one["name"]: (one["in"], one["required"]) for one in found["parameters"]}
    assert shown == {
        "word": ("query", True),
        "count": ("query", False),
        "tags": ("query", False),
        "colour": ("query", False),
    }
    assert "requestBody" not in found


def test_a_model_in_the_query_is_shown_by_its_fields():
    shown = {one["name"]: one for one in operation(spread, method="GET")["parameters"]}
    assert {name: one["required"] for name, one in shown.items()} == {"text": True, "limit": False}
    # FastAPI before 0.157 leaves a description that stands beside a constraint out of a parameter.
    assert shown["text"].get("description", "What to say") == "What to say"
    assert "description" in shown["text"] or fastapi.__version__.split(".") < ["0", "157"]
    assert shown["limit"]["schema"]["minimum"] == 1


def test_a_dict_in_the_query_is_shown_as_free_parameters():
    (shown,) = operation(spread_dict, method="GET")["parameters"]
    assert (shown["in"], shown["style"], shown["explode"]) == ("query", "form", True)


def test_path_header_and_cookie_parameters_are_shown():
    async def run(self, item: int, text: str, x_token: Annotated[str, Header()]): ...

    document, found = described(run, "/items/{item}")
    assert [(one["name"], one["in"]) for one in found["parameters"]] == [
        ("item", "path"),
        ("x-token", "header"),
    ]
    assert list(body_schema(document, found)["properties"]) == ["text"]


def test_two_cords_of_one_name_have_schemas_of_their_own():
    chute = new_chute()

    @chute.cord("/a")
    async def run(self, text: str): ...

    async def other(self, count: int): ...

    other.__name__ = "run"
    with pytest.warns(UserWarning, match="Two functions"):
        chute.cord("/b")(other)
    document = chute.app.openapi()
    validate(document)
    fields = [
        list(body_schema(document, document["paths"][path]["post"])["properties"]) for path in ("/a", "/b")
    ]
    assert fields == [["text"], ["count"]]


def test_a_cord_left_out_of_the_schema_is_not_there():
    chute = new_chute()
    chute.cord("/hidden", include_in_schema=False)(by_name)
    assert chute.app.openapi()["paths"] == {}


def test_later_cords_are_in_the_document_too():
    chute = new_chute()
    assert chute.app.openapi()["paths"] == {}
    chute.cord("/late")(by_name)
    assert list(chute.app.openapi()["paths"]) == ["/late"]
