"""The engine's cords as they are served: what documents them, and those that the chute answers itself."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from chutes.chute.cord import Cord
from chutes.chute.hosted import is_engine_cord
from chutes.serve.openai_calls import unknown_model
from chutes.templates import openai

__all__ = ["openai_cord"]

_BODIES: Mapping[str, tuple[type[BaseModel], type[BaseModel]]] = MappingProxyType({
    "chat": (openai.ChatCompletionRequest, openai.ChatCompletionResponse),
    "completion": (openai.CompletionRequest, openai.CompletionResponse),
    "embed": (openai.EmbeddingRequest, openai.EmbeddingResponse),
    "do_tokenize": (openai.TokenizeRequest, openai.TokenizeResponse),
    "do_detokenize": (openai.DetokenizeRequest, openai.DetokenizeResponse),
})  # fmt: skip
_STREAMED = ("chat", "completion")
_ERRORS = {
    400: "The engine cannot take the request.",
    401: "The key is missing or wrong.",
    404: "There is no such model.",
    413: "The body is larger than the chute takes.",
    500: "The engine failed.",
    503: "The engine starts, or the chute is busy; `Retry-After` says when to try again.",
}


async def get_models(self: Any) -> dict[str, Any]:
    """The model that this chute serves."""
    return {"object": "list", "data": await self.models()}


async def get_model(self: Any, model: str) -> dict[str, Any]:
    """What is known of one model."""
    listed: list[dict[str, Any]] = await self.models()
    for one in listed:
        if one["id"] == model:
            return one
    raise unknown_model(model, self.app.served.engine)


def openai_cord(cord: Cord) -> Cord:
    """The cord with its documentation; one that is not the engine's stays as it is."""
    if not is_engine_cord(cord):
        return cord
    if cord.name == "get_models":
        return _answered_here(cord, get_models, openai.ModelList)
    if cord.name == "get_model":
        return _answered_here(cord, get_model, openai.ModelCard)
    asked, answered = _BODIES[cord.name]
    responses = _error_responses()
    if cord.name in _STREAMED:
        responses[200] = {"description": "The answer, or its events", "content": {"text/event-stream": {}}}
    return replace(
        cord,
        input_schema=_inlined(asked.model_json_schema()),
        output_schema=answered,
        route_options={**cord.route_options, "responses": responses},
    )


def _answered_here(cord: Cord, function: Any, answered: type[BaseModel]) -> Cord:
    options = {**cord.route_options, "responses": _error_responses()}
    return replace(cord, function=function, passthrough=False, output_schema=answered, route_options=options)


def _error_responses() -> dict[int | str, dict[str, Any]]:
    return {status: {"model": openai.ErrorResponse, "description": text} for status, text in _ERRORS.items()}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to in the places of the references: those lead nowhere inside OpenAPI."""
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, list):
            return [resolve(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            name = part["$ref"].rpartition("/")[2]
            return resolve(definitions[name]) | {key: value for key, value in part.items() if key != "$ref"}
        return {key: resolve(value) for key, value in part.items()}

    resolved: dict[str, Any] = resolve(schema)
    return resolved
