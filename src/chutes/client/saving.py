"""Writes a downloaded file: under a name of its own until it is whole, and never outside of the folder that was meant."""

import contextlib
import hashlib
import secrets
from pathlib import Path

__all__ = ["Saving", "target_of"]


class Saving:
    """A file that is being written.

    Args:
        path: its path at the run.
        to: the file to write, or an existing folder, below which it gets the same path.

    Attributes:
        size: bytes written so far.

    Raises:
        ValueError: the path leads out of the folder.
        OSError: it cannot be written.
    """

    def __init__(self, path: str, to: str | Path) -> None:
        self.target = target_of(path, to)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        # The dot hides it, and nobody else writes to it.
        self._part = self.target.with_name(f".{self.target.name[:100]}.{secrets.token_hex(4)}.part")
        self._file = self._part.open("xb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def restart(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0

    def finish(self, sha256: str) -> Path:
        """Put the whole file into its place.

        Raises:
            ValueError: it is not the one with this checksum.
        """
        if self._digest.hexdigest() != sha256:
            raise ValueError(f"What came for {str(self.target)!r} is not the file: its SHA-256 differs.")
        self._file.close()
        self._part.replace(self.target)
        return self.target

    def close(self) -> None:
        """Remove what is not in its place."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            self._part.unlink()


def target_of(path: str, to: str | Path) -> Path:
    """The file to write.

    Raises:
        ValueError: the path, or a link on its way, leads out of the folder.
    """
    folder = Path(to)
    if not folder.is_dir():
        return folder
    names = path.split("/")
    target = folder.joinpath(*names)
    odd = any(name in ("", ".", "..") or "\0" in name or Path(name).name != name for name in names)
    if odd or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"The path {path!r} leads out of the folder {str(folder)!r}. Name the file to write."
        )
    return target
