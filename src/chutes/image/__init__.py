"""The recipe of the container that a chute lives in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chutes.image.image import Image

__all__ = ["Image"]


def __getattr__(name: str) -> Any:
    # On demand: a chute that names its image by a reference needs no recipe.
    if name != "Image":
        raise AttributeError(f"module 'chutes.image' has no attribute {name!r}")
    from chutes.image.image import Image

    return Image
