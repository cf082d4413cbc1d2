"""The OpenAPI document of a chute with one cord, checked by a validator."""

from openapi_spec_validator import validate

from support.serving import new_chute


def described(function, path="/run", **options):
    """The whole document, and the operation of a cord with this function."""
    chute = new_chute()
    chute.cord(path, **options)(function)
    document = chute.app.openapi()
    validate(document)
    return document, document["paths"][path][options.get("method", "POST").lower()]


def operation(function, **options):
    return described(function, **options)[1]


def body_schema(document, operation, media_type="application/json"):
    schema = operation["requestBody"]["content"][media_type]["schema"]
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def ok(operation, status="200"):
    return operation["responses"][status].get("content", {})
