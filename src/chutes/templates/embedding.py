"""Embeddings of texts behind the OpenAI API."""

import json
import re
from typing import TYPE_CHECKING, Any

from chutes.chute.chute import Chute
from chutes.chute.engine_arguments import engine_words
from chutes.errors import DefinitionError
from chutes.image.standard.vllm import VLLM
from chutes.templates.language import build

if TYPE_CHECKING:
    from chutes.chute.engine_arguments import EngineArguments
    from chutes.chute.node_selector import NodeSelector
    from chutes.image import Image

__all__ = ["build_embedding_chute"]

_POOLINGS = ("auto", "MEAN", "CLS", "LAST")
# What the makers of these families say in their papers; other models say it in their files.
_FAMILIES = (
    (re.compile(r"\b(?:e5|jina|st5)\b", re.IGNORECASE), "MEAN"),
    (re.compile(r"\bbge\b", re.IGNORECASE), "CLS"),
    (re.compile(r"\bgte\b|qwen", re.IGNORECASE), "LAST"),
)


def build_embedding_chute(  # noqa: PLR0917 - the public SDK's signature
    username: str,
    model_name: str,
    node_selector: "NodeSelector | None" = None,
    image: "str | Image" = VLLM,
    tagline: str = "",
    readme: str = "",
    concurrency: int = 32,
    engine_args: "EngineArguments" = None,
    revision: str | None = None,
    max_instances: int = 1,
    scaling_threshold: float = 0.75,
    shutdown_after_seconds: int = 300,
    allow_external_egress: bool | None = None,
    tee: bool = False,
    pooling_type: str = "auto",
    max_embed_len: int = 3_072_000,
    enable_chunked_processing: bool = True,
    *,
    name: str | None = None,
    engine: str = "auto",
    engine_python: str | None = None,
    **options: Any,
) -> Chute:
    """A chute that serves an embedding model over the OpenAI API: `/v1/embeddings`, and `self.embed`.

    A pooling of "auto" goes by the model's name where that tells, else by the model's own files.

    Args:
        username: owner of the chute.
        model_name: a name on the model hub such as `Qwen/Qwen3-0.6B`, a folder, or a `.gguf` file.
        node_selector: the hardware; default: GPUs in which a model of the size in its name fits.
        image: the container image, with the engine in it.
        tagline: one line for lists.
        readme: Markdown.
        concurrency: calls that reach the engine at once, at most.
        engine_args: further options of vLLM: a dict such as `{"max_model_len": 4096}`, a list of words, or one string as
            on the command line.
        revision: branch, tag or commit of the model on the hub.
        max_instances: replicas to which a deployment may grow.
        scaling_threshold: share of `concurrency` in use above which a deployment grows.
        shutdown_after_seconds: idle seconds after which a deployment may scale to zero.
        allow_external_egress: accepted for files of the public SDK.
        tee: accepted for files of the public SDK.
        pooling_type: how the vectors of a text's tokens become one: "auto", "MEAN", "CLS" or "LAST".
        max_embed_len: tokens of a text, at most.
        enable_chunked_processing: a text longer than the model takes is embedded in parts.
        name: name of the chute; default: made of the model's.
        engine: `auto` takes vLLM where it can run, else what is installed; or `vllm`, `sglang`, `llamacpp`, `transformers`.
        engine_python: the interpreter of the environment that has the engine; default: this one.
        **options: the rest goes to `Chute(...)`: max_queue, drain_delay, title, …

    Raises:
        DefinitionError: a value breaks its rule; the text names it and proposes a valid one.
    """
    values = dict(locals())
    pooling, longest = values.pop("pooling_type"), values.pop("max_embed_len")
    config = _pooler(model_name, pooling, longest, chunked=values.pop("enable_chunked_processing"))
    if config is not None and engine in ("auto", "vllm"):
        values["engine_args"] = (*engine_words(engine_args, "vllm"), "--pooler-config", json.dumps(config))
    return build("embedding", values)


def _pooler(model_name: object, pooling: str, longest: int, *, chunked: bool) -> dict[str, Any] | None:
    """What vLLM is told of how vectors are made; None leaves it to the model's own files."""
    if pooling not in _POOLINGS:
        raise DefinitionError(f"Invalid pooling_type {pooling!r}. Write one of {', '.join(_POOLINGS)}.")
    if longest < 1:
        raise DefinitionError(
            f"Invalid max_embed_len {longest!r}. Write a number of tokens, for example 8192."
        )
    known = (kind for family, kind in _FAMILIES if family.search(str(model_name)))
    kind = next(known, None) if pooling == "auto" else pooling
    if kind is None:
        return None
    parts = {"enable_chunked_processing": True, "max_embed_len": longest} if chunked else {}
    return {"pooling_type": kind, **parts}
