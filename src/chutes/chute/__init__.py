"""The definition of a chute: what a user writes."""

from typing import TYPE_CHECKING, Any

from chutes.chute.chute import Chute
from chutes.chute.cord import Cord

if TYPE_CHECKING:
    from chutes.chute.batch import Batch
    from chutes.chute.job import Job
    from chutes.chute.node_selector import NodeSelector
    from chutes.chute.pack import ChutePack

__all__ = ["Batch", "Chute", "ChutePack", "Cord", "Job", "NodeSelector"]

_HOMES = {
    "Batch": "chutes.chute.batch",
    "ChutePack": "chutes.chute.pack",
    "Job": "chutes.chute.job",
    "NodeSelector": "chutes.chute.node_selector",
}


def __getattr__(name: str) -> Any:
    # On demand: most chutes need none of these, and a catalogue of GPUs takes its time.
    if name not in _HOMES:
        raise AttributeError(f"module 'chutes.chute' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
