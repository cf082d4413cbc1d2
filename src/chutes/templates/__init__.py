"""Functions that return a ready chute."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chutes.templates.embedding import build_embedding_chute
    from chutes.templates.sglang import build_sglang_chute
    from chutes.templates.vllm import build_vllm_chute

__all__ = ["build_embedding_chute", "build_sglang_chute", "build_vllm_chute"]


def __getattr__(name: str) -> Any:
    # On demand: a file uses one of them.
    if name not in __all__:
        raise AttributeError(f"module 'chutes.templates' has no attribute {name!r}")
    from importlib import import_module

    home = name.removeprefix("build_").removesuffix("_chute")
    return getattr(import_module(f"chutes.templates.{home}"), name)
