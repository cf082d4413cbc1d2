"""Whether a model knows how a conversation is written down."""

import json
import mmap
from pathlib import Path

__all__ = ["has_chat_template"]

_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
_KEY = b"tokenizer.chat_template"
# The facts of a GGUF file stand before its weights; those with large vocabularies take some 20 MB.
_FACTS = 64 * 1024 * 1024


def has_chat_template(weights: Path) -> bool:
    """Whether the folder, or the GGUF file, has a chat template; False when it cannot be read."""
    try:
        return _in_folder(weights) if weights.is_dir() else _in_gguf(weights)
    except (OSError, ValueError):
        return False


def _in_folder(folder: Path) -> bool:
    if any((folder / name).exists() for name in _FILES):
        return True
    text = (folder / "tokenizer_config.json").read_text(encoding="utf-8")
    return bool(json.loads(text).get("chat_template"))


def _in_gguf(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_KEY, 0, _FACTS) >= 0
