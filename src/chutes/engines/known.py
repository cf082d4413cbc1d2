"""The engines that there are."""

from chutes.engines.engine import Engine
from chutes.engines.llamacpp import LLAMACPP
from chutes.engines.sglang import SGLANG
from chutes.engines.transformers import TRANSFORMERS
from chutes.engines.vllm import VLLM

__all__ = ["KNOWN"]

# The order in which `auto` prefers them, where several fit.
KNOWN: tuple[Engine, ...] = (VLLM, SGLANG, LLAMACPP, TRANSFORMERS)
