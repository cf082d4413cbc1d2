"""Turn one Python file into a served AI application."""

from chutes.chute import Chute, NodeSelector
from chutes.image import Image

__all__ = ["Chute", "Image", "NodeSelector", "__version__"]

__version__ = "0.1.0"
