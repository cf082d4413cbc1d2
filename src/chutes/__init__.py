"""Turn one Python file into a served AI application."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chutes.chute import Batch, Chute, NodeSelector
    from chutes.image import Image

__all__ = ["Batch", "Chute", "Image", "NodeSelector", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "Batch": "chutes.chute",
    "Chute": "chutes.chute",
    "Image": "chutes.image",
    "NodeSelector": "chutes.chute",
}


def __getattr__(name: str) -> Any:
    # On demand: `chutes.client` and the command line need no definition.
    if name not in _HOMES:
        raise AttributeError(f"module 'chutes' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
