"""A model whose weights lie on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Form", "Model", "SourceKind"]

Form = Literal["folder", "gguf"]
SourceKind = Literal["folder", "file", "package", "hub"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Weights that an engine can load, and what their own headers say of them.

    Attributes:
        name: the model as it was asked for.
        path: the folder, or the GGUF file (of several parts the first).
        form: `folder`: `config.json` with safetensors or PyTorch weights; `gguf`: one file that holds everything.
        source: what the name meant: a folder or a file of this machine, a file in a Python package, a model on the hub.
        revision: the commit on the hub, or the version of the package; empty for a folder or a file.
        size_bytes: bytes of the weights on the disk.
        architecture: `architectures` of `config.json`, or `general.architecture` of the GGUF file; empty when unsaid.
        parameters: how many numbers the weights hold; None when that cannot be told cheaply.
        context_length: tokens that the model was made for; None when unsaid.
    """

    name: str
    path: Path
    form: Form
    source: SourceKind = "folder"
    revision: str = ""
    size_bytes: int = 0
    architecture: str = ""
    parameters: int | None = None
    context_length: int | None = None
