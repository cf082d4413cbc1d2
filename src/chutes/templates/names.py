"""The name of a chute, made of its model's."""

import re

from chutes.chute.hosted import own_name

__all__ = ["slug"]

_LONGEST = 63


def slug(model_name: str) -> str:
    """A valid name for a chute: `Qwen/Qwen3-0.6B` becomes `qwen-qwen3-0-6b`; of a path the last part counts.

    Example:
        >>> slug("models/Tiny_Llama.gguf")
        'tiny-llama'
    """
    words = re.sub(r"[^a-z0-9]+", "-", own_name(model_name).lower()).strip("-")
    return words[:_LONGEST].strip("-") or "model"
