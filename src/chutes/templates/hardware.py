"""The GPUs that a model needs, as far as its name tells."""

import re

from chutes.chute.node_selector import NodeSelector

__all__ = ["guess_node_selector"]

# 7B, 0.5b, 8x22B and 135M, but neither the 3B of "30B-A3B", which says how much of it works at a time, nor 4-bit.
_SIZE = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)
_BILLIONS = {"b": 1.0, "m": 0.001}
# Bytes of a parameter, by a word in the name; the first that is found counts.
_WIDTHS = (
    (re.compile(r"awq|gptq|gpt-oss|int4|[-_]4bit|w4a16|[fnx]*fp4|bnb|[-_.]q4", re.IGNORECASE), 0.6),
    (re.compile(r"fp8|int8|[-_]8bit|w8a8|[-_.]q8|deepseek-(?:v3|r1)(?!.*distill)", re.IGNORECASE), 1.0),
)
_FULL_WIDTH = 2.0
_WORKING_SHARE = 1.2
_FIXED_GB = 2.0
# Families whose names leave out how large they are, in billions of parameters.
_KNOWN = ((re.compile(r"deepseek-(?:v3|r1)(?!.*distill)", re.IGNORECASE), 671.0),)
# From the least: how many GPUs, and GB of each.
_MACHINES = ((1, 16), (1, 24), (1, 48), (1, 80), (2, 80), (4, 80), (8, 80), (8, 140))
_UNKNOWN = (1, 24)


def guess_node_selector(model_name: str) -> NodeSelector:
    """The smallest machine on which a model of this name should fit, with some room for its conversations.

    A name without a size gets one GPU of 24 GB.
    """
    billions = _billions(model_name)
    count, gigabytes = _UNKNOWN
    if billions is not None:
        width = next((width for word, width in _WIDTHS if word.search(model_name)), _FULL_WIDTH)
        needed = billions * width * _WORKING_SHARE + _FIXED_GB
        fitting = (machine for machine in _MACHINES if machine[0] * machine[1] >= needed)
        count, gigabytes = next(fitting, _MACHINES[-1])
    return NodeSelector(gpu_count=count, min_vram_gb_per_gpu=gigabytes)


def _billions(name: str) -> float | None:
    sizes = [
        float(size) * int(experts or 1) * _BILLIONS[unit.lower()]
        for experts, size, unit in _SIZE.findall(name)
    ]
    known = next((size for family, size in _KNOWN if family.search(name)), None)
    return max(sizes, default=known)
