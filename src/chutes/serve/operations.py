"""One cord → how OpenAPI describes its operation."""

import dataclasses
import inspect
import logging
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, get_args, get_origin

from fastapi.utils import is_body_allowed_for_status_code
from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from chutes.chute.cord import Cord
from chutes.loading.type_hints import usable
from chutes.serve.answers import is_json
from chutes.serve.binding import BODY_VERBS, Binding
from chutes.serve.hints import cord_hints

__all__ = ["describe", "stream_content", "stream_type"]

_STREAMS = (AsyncIterator, AsyncGenerator, AsyncIterable, Iterator, Generator, Iterable)
_EVENT_STREAM = "text/event-stream"
_JSON = "application/json"
_ERRORS = {
    413: "The body is larger than the chute takes.",
    500: "The chute's own code failed; its log has the request id.",
    503: "The chute is busy; `Retry-After` says when to try again.",
}
_UPSTREAM_ERRORS = {
    502: "The upstream gave no answer.",
    503: "The chute is busy, or its upstream is not ready; `Retry-After` says when to try again.",
    504: "The upstream took no connection, or too long.",
}


class _BareResponse(Response):
    """Documents no content type of its own: the cord's stands in `responses`."""

    media_type = None


def describe(cord: Cord, binding: Binding) -> dict[str, Any]:
    """Keyword arguments for FastAPI's `add_api_route` that document the cord."""
    options = dict(cord.route_options)
    written = options.pop("responses", None) or {}
    hint = cord_hints(cord).get("return", inspect.Parameter.empty)
    status = options.get("status_code") or 200
    content, model = _output(cord, hint) if is_body_allowed_for_status_code(status) else ({}, None)
    errors = _ERRORS | (_UPSTREAM_ERRORS if cord.passthrough else {})
    responses: dict[int | str, dict[str, Any]] = {code: _error(text) for code, text in errors.items()}
    if cord.method in BODY_VERBS:
        responses[400] = _error("The body cannot be read.")
    if content:
        responses[status] = {"description": "Successful Response", "content": content}
    responses |= written
    described: dict[str, Any] = {
        "description": inspect.getdoc(cord.function) or "",
        "summary": cord.name.replace("_", " ").strip().capitalize(),
        "response_model": model,
        "responses": responses,
        "openapi_extra": _extra(cord, binding),
    }
    if model is None:
        described["response_class"] = _BareResponse
    elif cord.output_content_type != _JSON:
        described["response_class"] = type(
            "NamedJSON", (JSONResponse,), {"media_type": cord.output_content_type}
        )
    return described | options


def _output(cord: Cord, hint: Any) -> tuple[dict[str, Any], Any]:
    """The content of a good answer: written out by hand, or a type that FastAPI describes."""
    if cord.stream:
        return stream_content(cord), None
    if not is_json(cord.output_content_type):
        text = cord.output_content_type.startswith("text/")
        schema = {"type": "string"} if text else {"type": "string", "format": "binary"}
        return {cord.output_content_type: {"schema": schema}, _JSON: {"schema": {}}}, None
    if isinstance(cord.output_schema, dict):
        return {cord.output_content_type: {"schema": cord.output_schema}}, None
    if cord.output_schema is not None:
        return {}, usable(cord.output_schema)
    if inspect.isclass(hint) and issubclass(hint, Response):
        return {hint.media_type or "*/*": {"schema": {}}}, None
    if hint is inspect.Parameter.empty or not _has_schema(hint):
        return {cord.output_content_type: {"schema": {}}}, None
    # A hint documents; what the function returns is not held to it.
    return {}, hint


def stream_type(cord: Cord) -> str:
    """The content type of a cord's stream: its own, else that of its return hint, else that of events."""
    return _stream_types(cord)[0]


def stream_content(cord: Cord) -> dict[str, Any]:
    """The content of a stream, for OpenAPI: every type that it may turn out to have."""
    return {content_type: {"schema": {}} for content_type in _stream_types(cord)}


def _stream_types(cord: Cord) -> tuple[str, ...]:
    if cord.output_content_type != _JSON:
        return (cord.output_content_type,)
    hint = cord_hints(cord).get("return")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin not in _STREAMS or not arguments:
        # The first chunk will decide.
        return (_EVENT_STREAM, "text/plain", "application/octet-stream")
    known = {str: "text/plain", bytes: "application/octet-stream"}
    return (known.get(arguments[0], _EVENT_STREAM),)


def _has_schema(hint: Any) -> bool:
    if hint is None or hint is type(None):
        return True
    try:
        TypeAdapter(hint).json_schema(mode="serialization")
    except (
        PydanticSchemaGenerationError,
        PydanticInvalidForJsonSchema,
        PydanticUserError,
        TypeError,
        NameError,
    ) as error:
        logging.getLogger("chutes.serve").debug("The return hint %r has no JSON schema: %s", hint, error)
        return False
    return True


def _error(text: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "detail": {"title": "Detail"},
            "request_id": {"type": "string", "title": "Request Id"},
        },
    }
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _extra(cord: Cord, binding: Binding) -> dict[str, Any] | None:
    """What FastAPI cannot know of the operation: placeholders that no parameter takes, the example, a JSON schema."""
    extra = dict(binding.openapi)
    taken = {parameter.name for parameter in binding.parameters}
    unread = [name for name in compile_path(cord.path)[2] if name not in taken]
    if unread:
        text = {"in": "path", "required": True, "schema": {"type": "string"}}
        extra["parameters"] = [*extra.get("parameters", ()), *({"name": name, **text} for name in unread)]
    example = _example(usable(cord.minimal_input_schema))
    content: dict[str, Any] = {}
    if example is not None and cord.method in BODY_VERBS:
        content["examples"] = {"minimal": {"summary": "The least that is needed", "value": example}}
    if isinstance(cord.input_schema, dict):
        content["schema"] = cord.input_schema
    elif cord.passthrough and cord.method in BODY_VERBS:
        # FastAPI reads no body for such a cord, so it documents none.
        content["schema"] = _written_out(usable(cord.input_schema))
    if content:
        extra["requestBody"] = {"content": {binding.media_type: content}}
    return extra or None


def _written_out(hint: Any) -> dict[str, Any]:
    """The JSON schema of a type, without references: those would lead out of the operation."""
    if hint is None:
        return {}
    schema = TypeAdapter(hint).json_schema()
    return typing.cast("dict[str, Any]", _resolved(schema, schema.pop("$defs", {}), ()))


def _resolved(part: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_resolved(one, definitions, inside) for one in part]
    if not isinstance(part, dict):
        return part
    name = str(part.get("$ref", "")).rpartition("/")[2]
    if not name:
        return {key: _resolved(value, definitions, inside) for key, value in part.items()}
    # A type that holds itself is shown once.
    return {} if name in inside else _resolved(definitions[name], definitions, (*inside, name))


def _example(minimal: Any) -> Any:
    """An example of the minimal input: an instance is one; a type's is made of its examples, defaults and kinds."""
    if minimal is None:
        return None
    if isinstance(minimal, BaseModel):
        # A request has the names that are read.
        return minimal.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(minimal) and not inspect.isclass(minimal):
        return dataclasses.asdict(minimal)
    if isinstance(minimal, Mapping):
        return _schema_example(minimal, minimal) if "properties" in minimal else dict(minimal)
    schema = TypeAdapter(minimal).json_schema()
    return _schema_example(schema, schema)


def _schema_example(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _schema_example(root.get("$defs", {}).get(name, {}), root)
    for key in ("const", "default", "example"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _schema_example(schema[key][0], root)
    if schema.get("type") == "object" or "properties" in schema:
        return {name: _schema_example(part, root) for name, part in schema.get("properties", {}).items()}
    return _kind_example(schema)


def _kind_example(schema: Mapping[str, Any]) -> Any:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    kinds: dict[str, Any] = {
        "string": "text",
        "integer": low,
        "number": low,
        "boolean": False,
        "array": [],
        "null": None,
    }
    return kinds.get(typing.cast("str", schema.get("type", "null")))
