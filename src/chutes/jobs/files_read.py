"""A file of a run, to read or to save."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from chutes.errors import UnknownFile
from chutes.jobs.files import File
from chutes.jobs.files_store import FilesStore
from chutes.jobs.run import Run
from chutes.suggestions import did_you_mean

__all__ = ["RunFile", "run_file"]


class RunFile:
    """A file that a run has left.

    Attributes:
        path: below the run's directory, with `/` between the names.
        size: in bytes.
        content_type: media type, by the end of its name.
        sha256: of its content, hexadecimal.
    """

    def __init__(self, store: FilesStore, run: Run, file: File) -> None:
        self.path = file.path
        self.size = file.size
        self.content_type = file.content_type
        self.sha256 = file.sha256
        self._store = store
        self._run = run
        self._start = file.start

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The content in pieces of at most 1 MiB, from the byte `start` to the one before `stop`.

        Raises:
            UnknownFile: the file was removed meanwhile.
            StoreError: the database cannot be read.
        """
        end = self.size if stop is None else min(stop, self.size)
        while start < end:
            piece = await self._store.read(self._run.folder or "", self._start + start)
            if not piece:
                raise UnknownFile(f"File {self.path!r} of run {self._run.id} was removed.")
            yield piece[: end - start]
            start += len(piece)

    async def read(self) -> bytes:
        """The whole content.

        Raises:
            UnknownFile: the file was removed meanwhile.
            StoreError: the database cannot be read.
        """
        return b"".join([piece async for piece in self.chunks()])

    async def save(self, to: str | Path = ".") -> Path:
        """Write the content to a file, or to the same path below a folder; returns where it is.

        What is there already is replaced, once the content is whole.

        Raises:
            OSError: it cannot be written.
            UnknownFile: the file was removed meanwhile.
            StoreError: the database cannot be read.
        """
        # It comes with an HTTP client, which takes time to import.
        from chutes.client.saving import Saving

        saving = await asyncio.to_thread(Saving, self.path, to)
        try:
            async for piece in self.chunks():
                await asyncio.to_thread(saving.write, piece)
            return await asyncio.to_thread(saving.finish, self.sha256)
        finally:
            await asyncio.to_thread(saving.close)

    def __repr__(self) -> str:
        return f"<RunFile {self.path!r} of run {self._run.id}: {self.size} bytes>"


def run_file(store: FilesStore, run: Run, path: str) -> RunFile:
    """One file of a run.

    Raises:
        UnknownFile: there is none at `path`.
    """
    files = {file.path: file for file in run.files}
    if path in files:
        return RunFile(store, run, files[path])
    if not files:
        said = (
            " It has none."
            if run.is_final
            else f" It is {run.status.value}; a run has files once it has ended."
        )
    else:
        said = did_you_mean(path, files) or f" It has {len(files)}, the first is {next(iter(files))!r}."
    raise UnknownFile(f"Run {run.id} of job {run.job!r} has no file {path!r}.{said}")
