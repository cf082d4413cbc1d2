"""The download of a run's file, without its input and output over the network, so that both clients share it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from chutes.client.call import Call
from chutes.client.job_calls import Place
from chutes.client.saving import Saving
from chutes.errors import CallFailed, CallRejected

__all__ = ["Download"]

_MOST_BREAKS = 8
_PARTIAL = 206


class Download:
    """A file on its way; where an answer breaks off, the next one goes on.

    Args:
        place: the run.
        file: what the chute says of the file.
        to: the file to write, or a folder.

    Attributes:
        breaks: answers that ended too early, one after the other, without anything new.

    Raises:
        CallRejected: the path leads out of the folder.
        OSError: nothing can be written there.
    """

    def __init__(self, place: Place, file: Mapping[str, Any], to: str | Path) -> None:
        self.breaks = 0
        self._place = place
        self._file = file
        self._before = 0
        try:
            self._saving = Saving(file["path"], to)
        except ValueError as exc:
            raise CallRejected(str(exc)) from exc

    @property
    def is_whole(self) -> bool:
        """Whether everything has come."""
        return self._saving.size >= int(self._file["size"])

    def call(self) -> Call:
        """The call for what is missing."""
        # Packed bytes could not be counted.
        headers = {"Accept-Encoding": "identity"}
        if self._saving.size:
            headers |= {"Range": f"bytes={self._saving.size}-", "If-Range": f'"{self._file["sha256"]}"'}
        return self._place.call("GET", f"/files/{quote(self._file['path'])}", headers)

    def begin(self, response: httpx2.Response) -> None:
        """Take note of a good answer, whose bytes come next."""
        self._before = self._saving.size
        if response.status_code != _PARTIAL and self._before:
            self._saving.restart()

    def write(self, piece: bytes) -> None:
        """Add what has come."""
        self._saving.write(piece)

    def note_break(self, error: BaseException) -> None:
        """Take note of an answer that ended too early.

        Raises:
            CallFailed: there were many, and nothing new came with them.
        """
        self.breaks = 0 if self._saving.size > self._before else self.breaks + 1
        if self.breaks >= _MOST_BREAKS:
            raise CallFailed(
                f"The download of {self._file['path']!r} broke off {self.breaks} times after {self._saving.size} of "
                f"{self._file['size']} bytes: {error.__cause__ or error}"
            ) from error

    def finish(self) -> Path:
        """Put the file into its place.

        Raises:
            CallFailed: it is another one than the chute had said.
        """
        try:
            return self._saving.finish(self._file["sha256"])
        except ValueError as exc:
            raise CallFailed(f"{exc} The run may have left another one since then: try again.") from exc

    def close(self) -> None:
        """Remove what is not whole."""
        self._saving.close()
