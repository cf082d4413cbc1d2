"""What the files of a model say of it: read from their headers, never from the weights."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chutes.errors import ModelError
from chutes.models.gguf import read_gguf_header
from chutes.models.model import Form, Model, SourceKind

__all__ = ["described"]

_LONGEST_HEADER = 100_000_000
_LFS = b"version https://git-lfs"


def described(
    *, name: str, path: Path, form: Form, source: SourceKind, weights: Sequence[Path], revision: str = ""
) -> Model:
    """Return the model with what its headers say.

    Raises:
        ModelError: a file cannot be read, or is not what its name says.
    """
    facts = _of_gguf(path, weights) if form == "gguf" else _of_folder(path, weights)
    size = sum(file.stat().st_size for file in weights)
    return Model(name=name, path=path, form=form, source=source, revision=revision, size_bytes=size, **facts)


def _of_gguf(path: Path, weights: Sequence[Path]) -> Mapping[str, Any]:
    headers = [read_gguf_header(file) for file in (path, *(one for one in weights if one != path))]
    if headers[0].parts > len(headers):
        raise ModelError(
            f"{path} is one of {headers[0].parts} parts, and {len(headers)} of them are beside it."
        )
    return {
        "architecture": headers[0].architecture,
        "parameters": sum(header.parameters for header in headers),
        "context_length": headers[0].context_length,
    }


def _of_folder(folder: Path, weights: Sequence[Path]) -> Mapping[str, Any]:
    config = _config(folder / "config.json")
    architectures = config.get("architectures")
    own = config.get("max_position_embeddings") or config.get("n_positions")
    length = own or _text_config(config).get("max_position_embeddings")
    # Packed weights hold several parameters in one number.
    countable = not config.get("quantization_config") and all(
        file.suffix == ".safetensors" for file in weights
    )
    for file in weights:
        _refuse_pointer(file)
    return {
        "architecture": str(architectures[0]) if isinstance(architectures, list) and architectures else "",
        "parameters": sum(map(_parameters, weights)) if countable else None,
        "context_length": length if isinstance(length, int) else None,
    }


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise ModelError(f"Cannot read {path}: {exc}.") from exc
    if not isinstance(config, dict):
        raise ModelError(f"Cannot read {path}: it holds no JSON object.")
    return config


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else {}


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise ModelError(
                f"{path} is a pointer of Git LFS and holds no weights. Run `git lfs pull` in its folder."
            )


def _parameters(path: Path) -> int:
    """How many numbers a safetensors file holds."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: Any = json.loads(file.read(length)) if length <= _LONGEST_HEADER else None
        tensors = [value for key, value in header.items() if key != "__metadata__"]
        return sum(math.prod(tensor["shape"]) for tensor in tensors)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, struct.error) as exc:
        raise ModelError(f"{path} is cut off or damaged: its header cannot be read. Fetch it again.") from exc
