"""`/tokenize` and `/detokenize` of llama.cpp's server in the form that the chute's callers know, which is vLLM's."""

from typing import Any

from fastapi import HTTPException
from pydantic_core import from_json, to_json

__all__ = ["asked_of_llamacpp", "said_by_llamacpp"]


def asked_of_llamacpp(cord: str, body: bytes) -> bytes:
    """The body of a call of the cord as llama.cpp takes it.

    Raises:
        HTTPException: 400, it holds no text.
    """
    value: dict[str, Any] = from_json(body)
    if cord == "do_detokenize":
        return body
    if not isinstance(value.get("prompt"), str):
        text = "llama.cpp takes the tokens of a text: write it as 'prompt'."
        error = {
            "message": text,
            "type": "invalid_request_error",
            "param": "prompt",
            "code": "missing_prompt",
        }
        raise HTTPException(400, error)
    special = value.get("add_special_tokens")
    return to_json({"content": value["prompt"], "add_special": True if special is None else special})


def said_by_llamacpp(cord: str, body: bytes) -> bytes:
    """The body of its answer in the callers' form."""
    value: dict[str, Any] = from_json(body)
    if cord == "do_detokenize":
        return to_json({"prompt": value["content"]})
    return to_json({"tokens": value["tokens"], "count": len(value["tokens"])})
