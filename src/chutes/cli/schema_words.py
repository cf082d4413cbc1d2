"""JSON schemas in a few words, for people."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["field_in_words", "fields_in_words", "type_in_words"]

_Schema = Mapping[str, Any]
_REF = "#/components/schemas/"
_ANYTHING = "any"


def type_in_words(schema: _Schema) -> str:
    """`string`, `list[integer]`, `"a" | "b"`, or the name of a model."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " | ".join(dict.fromkeys(type_in_words(option) for option in schema[choice]))
    if schema.get("format") == "binary" or "contentMediaType" in schema:
        return "file"
    kind = schema.get("type", _ANYTHING)
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array":
        return f"list[{type_in_words(schema.get('items', {}))}]"
    return str(kind)


def fields_in_words(schema: _Schema, components: Mapping[str, _Schema]) -> str:
    """`prompt: string, n: integer = 3` for an object; its type for anything else."""
    if "$ref" in schema:
        schema = components.get(str(schema["$ref"]).removeprefix(_REF), {})
    properties = schema.get("properties")
    if not properties:
        return type_in_words(schema)
    required = schema.get("required", ())
    return ", ".join(field_in_words(name, field, name in required) for name, field in properties.items())


def field_in_words(name: str, schema: _Schema, required: bool) -> str:
    """`n: integer = 3`; a question mark after the name when it may be left out."""
    mark = "" if required or "default" in schema else "?"
    default = f" = {json.dumps(schema['default'])}" if "default" in schema else ""
    return f"{name}{mark}: {type_in_words(schema)}{default}"
