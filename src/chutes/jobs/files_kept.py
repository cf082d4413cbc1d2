"""Carries what an attempt has left in its directory into the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from chutes.errors import StoreError
from chutes.jobs.files import files_text
from chutes.jobs.files_found import FilesRefused, Packing, find_files
from chutes.jobs.files_store import CHUNK, FilesStore
from chutes.jobs.run import Run

__all__ = ["FilesKeeper", "FilesNotKept", "Kept"]

T = TypeVar("T")
_LOOK_SECONDS = 1.0
_LEFT_OUT_SHOWN = 5
_logger = logging.getLogger("chutes.jobs")


class FilesNotKept(Exception):  # noqa: N818 - named for the condition
    """The files could not be stored; the text says why.

    Attributes:
        final: another attempt would leave the same.
    """

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is in the database now, and seen once the end of the run names it.

    Attributes:
        folder: where the database has it; None without any files.
        files: JSON of what the folder holds.
        left_out: what was no file to keep, in words; empty when there was nothing of the kind.
    """

    folder: str | None = None
    files: str | None = None
    left_out: str = ""


class FilesKeeper:
    """Keeps the files of attempts that have ended.

    Args:
        store: where.
        limit: bytes of one run, at most.
        patience: seconds for which a database may be away before the attempt fails.
    """

    def __init__(self, store: FilesStore, limit: int, patience: float = 60.0) -> None:
        self._store = store
        self._limit = limit
        self._patience = patience

    async def keep(self, run: Run, root: Path) -> Kept | None:
        """Write the files of a directory; None when the attempt is this worker's no longer.

        Raises:
            FilesNotKept: they are too many or too large, cannot be read, or the database did not take them.
        """
        try:
            found = await asyncio.to_thread(find_files, root)
            packing = Packing(found, self._limit)
            packing.check()
            left_out = _listed(found.left_out)
            if not found.sizes:
                return Kept(left_out=left_out)
            folder = await self._write(run, packing)
        except FilesRefused as error:
            raise FilesNotKept(str(error), final=True) from error
        except OSError as error:
            raise FilesNotKept(f"The files could not be read: {error}.", final=False) from error
        except StoreError as error:
            raise FilesNotKept(f"The files could not be stored. {error}", final=False) from error
        return (
            None
            if folder is None
            else Kept(folder=folder, files=files_text(packing.files), left_out=left_out)
        )

    async def drop(self, folder: str) -> None:
        """Remove what no run will name; when the database is away, somebody will sweep it up."""
        try:
            await self._store.remove(folder)
        except StoreError as error:
            _logger.warning("Files of a failed attempt were not removed yet: %s", error)

    async def _write(self, run: Run, packing: Packing) -> str | None:
        folder = await self._patiently(lambda: self._store.begin(run))
        if folder is None:
            return None
        start, pieces = 0, packing.pieces(CHUNK)
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                if not await self._patiently(partial(self._store.add, folder, start, piece)):
                    return None
                start += len(piece)
        except BaseException:
            await self.drop(folder)
            raise
        return folder

    async def _patiently(self, write: Callable[[], Awaitable[T]]) -> T:
        """What a write answers; while the database is away, it is tried again and again, for a while."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await write()
            except StoreError:
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(_LOOK_SECONDS)


def _listed(left_out: tuple[str, ...]) -> str:
    if not left_out:
        return ""
    more = len(left_out) - _LEFT_OUT_SHOWN
    text = ", ".join(left_out[:_LEFT_OUT_SHOWN])
    return f"Not kept among the files: {text}{f', and {more} more' if more > 0 else ''}."
