"""The public SDK's names of the SGLang template: its builder, its pack and the bodies of its API."""

from typing import TYPE_CHECKING, Any

from chutes.chute.chute import Chute
from chutes.templates.sglang import build_sglang_chute

if TYPE_CHECKING:
    from chutes.templates.openai import (
        BaseRequest,
        ChatCompletionRequest,
        ChatCompletionResponse,
        ChatCompletionStreamResponse,
        ChatMessage,
        CompletionRequest,
        CompletionResponse,
        CompletionStreamResponse,
        DetokenizeRequest,
        DetokenizeResponse,
        ResponseFormat,
        TokenizeRequest,
        TokenizeResponse,
        UsageInfo,
    )

__all__ = [
    "BaseRequest",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatCompletionStreamResponse",
    "ChatMessage",
    "CompletionRequest",
    "CompletionResponse",
    "CompletionStreamResponse",
    "DetokenizeRequest",
    "DetokenizeResponse",
    "ResponseFormat",
    "SGLangChute",
    "TokenizeRequest",
    "TokenizeResponse",
    "UsageInfo",
    "build_sglang_chute",
]

SGLangChute = Chute
"""The chute itself has the fields of the public SDK's pack."""


def __getattr__(name: str) -> Any:
    # On demand: the bodies bring pydantic.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chutes.templates import openai

    return getattr(openai, name)
