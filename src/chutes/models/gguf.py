"""What the header of a GGUF file says, read without the weights."""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chutes.errors import ModelError

__all__ = ["GgufHeader", "read_gguf_header"]

_MAGIC = b"GGUF"
_LFS = b"vers"
_OLDEST_VERSION = 2
_LONGEST_TEXT = 1 << 26
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """The part of a header that tells models apart.

    Attributes:
        architecture: `general.architecture`, such as `llama`.
        parameters: numbers in this file's tensors; a file of several parts has only its own.
        context_length: tokens that the model was made for; None when unsaid.
        parts: how many files the model has.
    """

    architecture: str = ""
    parameters: int = 0
    context_length: int | None = None
    parts: int = 1


def read_gguf_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises:
        ModelError: it is no GGUF file, of a version before 2, or cut off.
    """
    try:
        with path.open("rb") as file:
            return _header(file, path)
    except OSError as exc:
        raise ModelError(f"Cannot read {path}: {exc.strerror}.") from exc
    except (struct.error, EOFError, UnicodeDecodeError, KeyError, OverflowError, MemoryError) as exc:
        raise ModelError(f"{path} is cut off or damaged: its header cannot be read. Fetch it again.") from exc


def _header(file: BinaryIO, path: Path) -> GgufHeader:
    magic = file.read(4)
    if magic == _LFS:
        raise ModelError(
            f"{path} is a pointer of Git LFS and holds no weights. Run `git lfs pull` in its folder."
        )
    if magic != _MAGIC:
        raise ModelError(f"{path} is no GGUF file: it begins with {magic!r} instead of {_MAGIC!r}.")
    version, tensors, entries = struct.unpack("<IQQ", _exactly(file, 20))
    if not _OLDEST_VERSION <= version < 1 << 16:
        raise ModelError(f"{path} has version {version} of GGUF, which is not read. Convert it anew.")
    facts = dict(_entry(file) for _ in range(entries))
    architecture = str(facts.get("general.architecture", ""))
    length = facts.get(f"{architecture}.context_length")
    return GgufHeader(
        architecture=architecture,
        parameters=sum(_tensor_size(file) for _ in range(tensors)),
        context_length=length if isinstance(length, int) else None,
        parts=int(str(facts.get("split.count") or 1)),
    )


def _entry(file: BinaryIO) -> tuple[str, object]:
    key = _text(file)
    return key, _value(file, _number(file, "<I"))


def _value(file: BinaryIO, kind: int) -> object:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _number(file, _NUMBERS[kind])
    of, count = _number(file, "<I"), _number(file, "<Q")
    # Arrays are vocabularies: long, and of no use here.
    if of in _NUMBERS:
        file.seek(struct.calcsize(_NUMBERS[of]) * count, 1)
        return None
    skip: Callable[[BinaryIO], object] = _skip_text if of == _STRING else _skip_array
    for _ in range(count):
        skip(file)
    return None


def _skip_text(file: BinaryIO) -> None:
    # Reading is faster than seeking, which would empty the buffer.
    _exactly(file, _number(file, "<Q"))


def _skip_array(file: BinaryIO) -> None:
    _value(file, _ARRAY)


def _tensor_size(file: BinaryIO) -> int:
    _text(file)
    sides = struct.unpack(f"<{(count := _number(file, '<I'))}Q", _exactly(file, 8 * count))
    _exactly(file, 12)
    return math.prod(sides)


def _text(file: BinaryIO) -> str:
    return _exactly(file, _number(file, "<Q")).decode(errors="replace")


def _number(file: BinaryIO, form: str) -> int:
    (number,) = struct.unpack(form, _exactly(file, struct.calcsize(form)))
    return number  # type: ignore[no-any-return] # a float or bool is no size: only facts have such


def _exactly(file: BinaryIO, size: int) -> bytes:
    if size > _LONGEST_TEXT:
        raise EOFError
    read = file.read(size)
    if len(read) < size:
        raise EOFError
    return read
