"""The files that a run has left, as its row in the database lists them."""

import json
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["File", "content_type_of", "files_text", "read_files"]

_UNKNOWN = "application/octet-stream"
_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file.

    Attributes:
        path: below the run's directory, with `/` between the names.
        size: in bytes.
        content_type: media type, by the end of its name.
        sha256: of its content, hexadecimal.
        start: where it begins among the bytes of all files of the run, which follow each other.
    """

    path: str
    size: int
    content_type: str
    sha256: str
    start: int

    def shown(self) -> dict[str, Any]:
        """As HTTP, the client and the command line show it."""
        return {
            "path": self.path, "size": self.size, "content_type": self.content_type, "sha256": self.sha256,
        }  # fmt: skip


def files_text(files: Sequence[File]) -> str:
    """JSON of files that follow each other."""
    return json.dumps([[one.path, one.size, one.content_type, one.sha256] for one in files])


def read_files(text: str | None) -> tuple[File, ...]:
    """The files of the JSON that `files_text` made; none where there is none."""
    found, start = [], 0
    for path, size, content_type, sha256 in json.loads(text or "[]"):
        found.append(File(path=path, size=size, content_type=content_type, sha256=sha256, start=start))
        start += size
    return tuple(found)


def content_type_of(path: str) -> str:
    """The media type that the end of a name stands for, the same on every machine."""
    kind, packed = _types().guess_type(path.rpartition("/")[2])
    if packed is not None:
        return _PACKED.get(packed, _UNKNOWN)
    return kind or _UNKNOWN


@lru_cache(maxsize=1)
def _types() -> mimetypes.MimeTypes:
    # What the machine's own lists say differs from one to the next.
    return mimetypes.MimeTypes()
