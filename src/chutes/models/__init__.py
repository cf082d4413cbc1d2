"""Where the weights of a model come from: a folder, a GGUF file, a Python package, or the hub and its cache."""

from chutes.models.find import find_model
from chutes.models.hub import Hub
from chutes.models.model import Form, Model, SourceKind
from chutes.models.progress import LogProgress, Progress

__all__ = ["Form", "Hub", "LogProgress", "Model", "Progress", "SourceKind", "find_model"]
