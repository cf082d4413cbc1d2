"""What a job's function has left in its directory: which files can be kept, and their bytes one after the other."""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chutes.jobs.files import File, content_type_of

__all__ = ["MOST_FILES", "FilesRefused", "Found", "Packing", "find_files"]

MOST_FILES = 1000
"""Files of a run, at most: they are listed with it."""

_LONGEST_PATH = 1024
_LARGEST_SHOWN = 3


class FilesRefused(Exception):  # noqa: N818 - named for the condition
    """There are too many files, or too large ones; the text says how many and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is in a directory.

    Attributes:
        root: the directory.
        sizes: bytes of each file that can be kept, by its path below the directory, in order.
        left_out: what cannot be kept, in words.
    """

    root: Path
    sizes: Mapping[str, int]
    left_out: tuple[str, ...]


def find_files(root: Path) -> Found:
    """All files below a directory: no links, and nothing that is reached by one.

    Raises:
        FilesRefused: there are too many.
        OSError: a folder cannot be read.
    """
    sizes: dict[str, int] = {}
    left_out: list[str] = []
    folders = [("", str(root))] if root.is_dir() and not root.is_symlink() else []
    while folders:
        prefix, folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if reason := _reason_against(path, entry):
                    left_out.append(f"{path!r} {reason}")
                elif entry.is_dir(follow_symlinks=False):
                    folders.append((f"{path}/", entry.path))
                else:
                    sizes[path] = entry.stat(follow_symlinks=False).st_size
        _check_count(sizes)
    return Found(root=root, sizes=dict(sorted(sizes.items())), left_out=tuple(sorted(left_out)))


class Packing:
    """The bytes of found files, one after the other.

    Args:
        found: the files.
        limit: bytes, at most.

    Attributes:
        files: those that were read to their end.
    """

    def __init__(self, found: Found, limit: int) -> None:
        self.files: list[File] = []
        self._found = found
        self._limit = limit
        self._total = 0

    def check(self) -> None:
        """Compare the sizes with the limit before anything is read.

        Raises:
            FilesRefused: they are too large together.
        """
        if sum(self._found.sizes.values()) > self._limit:
            raise _too_large(self._found.sizes, self._limit)

    def pieces(self, size: int) -> Iterator[bytes]:
        """All bytes, in pieces of `size`, of which the last may be shorter.

        Raises:
            FilesRefused: they have become too many while they were read.
            OSError: a file cannot be read.
        """
        piece = bytearray()
        for path in self._found.sizes:
            for block in self._blocks(path, size):
                piece += block
                if len(piece) >= size:
                    yield bytes(piece[:size])
                    del piece[:size]
        if piece:
            yield bytes(piece)

    def _blocks(self, path: str, size: int) -> Iterator[bytes]:
        start, digest = self._total, hashlib.sha256()
        file = _opened(self._found.root / path)
        if file is None:
            return
        with file:
            while block := file.read(size):
                self._total += len(block)
                if self._total > self._limit:
                    raise _too_large({**self._found.sizes, path: self._total - start}, self._limit)
                digest.update(block)
                yield block
        self.files.append(
            File(
                path=path,
                size=self._total - start,
                content_type=content_type_of(path),
                sha256=digest.hexdigest(),
                start=start,
            )
        )


def _opened(path: Path) -> IO[bytes] | None:
    """A file to read; None where it is gone, or something else by now."""
    try:
        # A pipe would wait for a writer, and a link may lead anywhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        if path.is_file() and not path.is_symlink():
            raise
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def _reason_against(path: str, entry: "os.DirEntry[str]") -> str:
    """Why something cannot be kept; empty when it can."""
    if entry.is_symlink():
        return "is a symbolic link"
    if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
        return "is no regular file"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if any(unicodedata.category(letter) == "Cc" for letter in entry.name):
        return "has control characters in its name"
    return f"has a path of more than {_LONGEST_PATH} bytes" if size > _LONGEST_PATH else ""


def _check_count(paths: Mapping[str, int]) -> None:
    if len(paths) > MOST_FILES:
        raise FilesRefused(
            f"The directory has more than {MOST_FILES} files; {MOST_FILES} are kept. Pack them into an archive, or write fewer."
        )


def _too_large(sizes: Mapping[str, int], limit: int) -> FilesRefused:
    largest = sorted(sizes.items(), key=lambda one: -one[1])[:_LARGEST_SHOWN]
    shown = ", ".join(f"{path!r} has {size}" for path, size in largest)
    return FilesRefused(
        f"The files have {sum(sizes.values())} bytes together; {limit} are kept. Of the largest, {shown}. Write less into the "
        "directory, store it elsewhere and return where it is, or raise CHUTES_JOBS_MAX_FILES_SIZE."
    )
