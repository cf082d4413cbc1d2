"""Calls of the OpenAI API on their way to the engine: a body it can read, and a model that it has."""

from dataclasses import dataclass, fields
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from pydantic_core import from_json, to_json
from starlette.types import Scope

from chutes.serve.exchange import Exchange
from chutes.serve.llamacpp_words import asked_of_llamacpp, said_by_llamacpp
from chutes.serve.passthrough import PassthroughCall
from chutes.serve.passthrough_answer import Forwarded
from chutes.serve.passthrough_body import Upload

if TYPE_CHECKING:
    from chutes.serve.engine import ServedEngine

__all__ = ["OpenAICall", "openai_call", "unknown_model"]

_TOKENS = frozenset({"do_tokenize", "do_detokenize"})
_SHARING = b"access-control-"
_SILENT = "The model has no chat template: it continues texts, by /v1/completions, and holds no conversation."


@dataclass(frozen=True, slots=True)
class OpenAICall(PassthroughCall):
    """One of the engine's cords that takes a body. The body goes on byte for byte, but for the name of the model."""

    engine: "ServedEngine"

    async def open(self, exchange: Exchange, scope: Scope, upload: Upload) -> Forwarded:
        """As any passthrough's, with the body checked.

        Raises:
            HTTPException: 400, it is no JSON object, or a chat with a model that can hold none; 404, it names another
                model.
        """
        if upload.whole is None:
            upload.whole = b"".join([part async for part in upload.parts()])
        upload.whole = _with_model(upload.whole, self.engine)
        if self.cord.name == "chat" and self.engine.needs_template and not await self.engine.converses():
            raise HTTPException(400, _error(_SILENT, code="no_chat_template"))
        if self._translates:
            upload.whole = asked_of_llamacpp(self.cord.name, upload.whole)
        # Not `super()`: a dataclass with slots is made twice, and that names the first.
        answer = await PassthroughCall.open(self, exchange, scope, upload)
        # Engines let the page of every site read their answers; whom a chute lets is said in the chute.
        answer.raw_headers = [one for one in answer.raw_headers if not one[0].startswith(_SHARING)]
        if self._translates and answer.status_code == HTTPStatus.OK:
            await answer.rewrite(partial(said_by_llamacpp, self.cord.name))
        return answer

    @property
    def _translates(self) -> bool:
        return self.cord.name in _TOKENS and self.engine.speaks_llamacpp


def openai_call(call: PassthroughCall, engine: "ServedEngine") -> OpenAICall:
    """The same call, for one of the engine's own cords."""
    same = {one.name: getattr(call, one.name) for one in fields(call)}
    return OpenAICall(**same, engine=engine)


def unknown_model(name: str, engine: "ServedEngine") -> HTTPException:
    """The answer to somebody who names a model that is not served."""
    text = f"The model {name!r} does not exist. This chute serves {engine.served_name!r}."
    return HTTPException(404, _error(text, param="model", code="model_not_found"))


def _with_model(body: bytes, engine: "ServedEngine") -> bytes:
    try:
        value = from_json(body, cache_strings=False)
    except ValueError as error:
        raise HTTPException(400, _error(f"The body is no JSON: {error}.", code="invalid_json")) from None
    if not isinstance(value, dict):
        raise HTTPException(400, _error("The body is no JSON object.", code="invalid_json"))
    name = value.get("model")
    if name is None and "model" not in value:
        # In front of the others, so that these stay as they were written.
        rest = body.lstrip()[1:]
        return b'{"model":%b%b%b' % (to_json(engine.served_name), b"," if value else b"", rest)
    if name is not None and not engine.renames(name):
        if not engine.checks_names and name not in engine.names:
            raise unknown_model(str(name), engine)
        return body
    return to_json({**value, "model": engine.served_name})


def _error(message: str, *, code: str, param: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}
