"""Schemas in words."""

import pytest

from chutes.cli.schema_words import fields_in_words, type_in_words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any"),
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array", "items": {"type": "integer"}}, "list[integer]"),
        ({"type": "array"}, "list[any]"),
        ({"$ref": "#/components/schemas/Out"}, "Out"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"oneOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}]}, "A | B"),
        ({"anyOf": [{"type": "string"}, {"type": "string", "format": "uri"}]}, "string"),
        ({"enum": ["fast", "good"]}, '"fast" | "good"'),
        ({"const": 3}, "3"),
        ({"type": "string", "format": "binary"}, "file"),
        ({"type": "string", "contentMediaType": "application/octet-stream"}, "file"),
        ({"type": "object", "additionalProperties": True}, "object"),
    ],
)
def test_a_type_is_a_word_or_two(schema, words):
    assert type_in_words(schema) == words


def test_the_fields_of_an_object_stand_in_a_row():
    schema = {
        "type": "object",
        "properties": {
            "prompt": {"type": "string"},
            "n": {"type": "integer", "default": 3},
            "stop": {"type": "string"},
        },
        "required": ["prompt"],
    }

    assert fields_in_words(schema, {}) == "prompt: string, n: integer = 3, stop?: string"
    assert fields_in_words({"$ref": "#/components/schemas/In"}, {"In": schema}).startswith("prompt: string")


def test_anything_but_an_object_is_its_type():
    assert fields_in_words({"type": "array", "items": {}}, {}) == "list[any]"
    assert fields_in_words({"$ref": "#/components/schemas/Gone"}, {}) == "any"
