"""The public SDK's names of the embedding template: its builder, its pack and the bodies of its API."""

from typing import TYPE_CHECKING, Any

from chutes.chute.chute import Chute
from chutes.templates.embedding import build_embedding_chute

if TYPE_CHECKING:
    from chutes.templates.openai import (
        EmbeddingRequest,
        EmbeddingResponse,
        UsageInfo,
    )

__all__ = [
    "EmbeddingChutePack",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "UsageInfo",
    "build_embedding_chute",
]

EmbeddingChutePack = Chute
"""The chute itself has the fields of the public SDK's pack."""


def __getattr__(name: str) -> Any:
    # On demand: the bodies bring pydantic.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chutes.templates import openai

    return getattr(openai, name)
