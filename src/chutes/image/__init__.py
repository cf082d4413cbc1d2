"""The recipe of the container that a chute lives in."""

from chutes.image.image import Image

__all__ = ["Image"]
