"""What `/openapi.json` says of the answers of cords."""

from typing import Any

import pytest
from openapi_spec_validator import validate

from support.openapi import body_schema, described, ok, operation
from support.outputs import (
    Answer,
    arrays,
    by_name,
    events,
    file,
    nothing,
    page,
    parts,
    picture,
    raw,
    tokens,
    unknown,
    whole_dict,
)
from support.serving import new_chute


@pytest.mark.parametrize(
    ("function", "options", "content"),
    [
        (by_name, {}, {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}),
        (whole_dict, {}, {"application/json": {"schema": {}}}),
        (
            whole_dict,
            {"output_schema": Answer},
            {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}},
        ),
        (
            whole_dict,
            {"output_schema": {"type": "string"}},
            {"application/json": {"schema": {"type": "string"}}},
        ),
        (arrays, {}, {"application/json": {"schema": {}}}),
        (file, {}, {"*/*": {"schema": {}}}),
        (page, {}, {"text/html": {"schema": {}}}),
        (nothing, {"status_code": 204}, {}),
    ],
)
def test_the_output_is_shown_with_its_content_type(function, options, content):
    assert ok(operation(function, **options), str(options.get("status_code", 200))) == content


def test_json_with_a_name_of_its_own_is_shown_under_it():
    found = ok(operation(by_name, output_content_type="application/vnd.acme+json"))
    assert list(found) == ["application/vnd.acme+json"]
    assert found["application/vnd.acme+json"]["schema"]["$ref"].endswith("Answer")


@pytest.mark.parametrize(
    ("function", "content_type", "schema"),
    [
        (picture, "image/png", {"type": "string", "format": "binary"}),
        (raw, "text/csv", {"type": "string"}),
    ],
)
def test_other_content_types_are_shown_beside_the_json_of_other_values(function, content_type, schema):
    found = ok(operation(function, output_content_type=content_type))
    assert found[content_type] == {"schema": schema}


@pytest.mark.parametrize(
    ("function", "options", "types"),
    [
        (tokens, {}, {"text/plain"}),
        (parts, {}, {"application/octet-stream"}),
        (events, {}, {"text/event-stream"}),
        (unknown, {}, {"text/event-stream", "text/plain", "application/octet-stream"}),
        (tokens, {"output_content_type": "text/event-stream"}, {"text/event-stream"}),
    ],
)
def test_streams_are_shown_with_the_type_of_their_chunks(function, options, types):
    assert set(ok(operation(function, stream=True, **options))) == types


@pytest.mark.parametrize("first", ["plain", "stream"])
def test_two_cords_on_one_path_are_one_operation_with_both_content_types(first):
    chute = new_chute()

    def add_plain():
        chute.cord("/chat")(by_name)

    def add_stream():
        chute.cord("/chat", stream=True)(tokens)

    for add in (add_plain, add_stream) if first == "plain" else (add_stream, add_plain):
        add()
    document = chute.app.openapi()
    validate(document)
    assert set(ok(document["paths"]["/chat"]["post"])) == {"application/json", "text/plain"}


def test_errors_are_described():
    responses = operation(by_name, responses={404: {"description": "Unknown"}})["responses"]
    assert {"200", "404", "413", "422", "500", "503"} <= set(responses)
    assert responses["404"]["description"] == "Unknown"
    assert responses["422"]["content"]["application/json"]["schema"]["$ref"].endswith("HTTPValidationError")
    assert "Retry-After" in str(responses["503"])


def test_any_is_any():
    async def run(self, value: Any) -> Any: ...

    document, found = described(run)
    assert body_schema(document, found)["properties"] == {"value": {"title": "Value"}}
    assert set(ok(found)["application/json"]["schema"]) <= {"title"}
