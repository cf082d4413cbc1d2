"""The directory that an attempt has for its files: on this machine's disk, made on first use, gone when the attempt has ended."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import IO

__all__ = ["OUTPUT_DIR", "Directories", "Directory", "remove_left_over"]

OUTPUT_DIR = "output_dir"
"""The parameter that gets it; a function with `**` parameters gets it among them."""

_PREFIX = "chutes-jobs-"
_LOCK = "lock"


class Directories:
    """Those of one process, in one folder below the machine's temporary one.

    The process holds a lock inside of it. So the next one that starts can tell what a killed one has left, and remove it.
    """

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._own: Path | None = None
        self._lock: IO[str] | None = None

    def make(self, job: str) -> Path:
        """A new, empty one."""
        with self._making:
            if self._own is None:
                self._own, self._lock = _locked_folder()
            return Path(tempfile.mkdtemp(prefix=f"{job}-", dir=self._own))

    def close(self) -> None:
        """Let go; what abandoned code still writes to stays until another process starts."""
        if self._own is None or self._lock is None:
            return
        if [entry.name for entry in self._own.iterdir()] == [_LOCK]:
            shutil.rmtree(self._own, ignore_errors=True)
        self._lock.close()
        self._own = self._lock = None


class Directory:
    """The one of an attempt.

    Args:
        directories: where it is made.
        job: name of the job.
    """

    def __init__(self, directories: Directories, job: str) -> None:
        self.made: Path | None = None
        self._directories = directories
        self._job = job
        self._making = threading.Lock()

    def path(self) -> Path:
        """Where it is; the first call makes it.

        Raises:
            OSError: it cannot be made.
        """
        with self._making:
            if self.made is None:
                self.made = self._directories.make(self._job)
            return self.made

    def remove(self) -> None:
        """Remove it with all that is in it; what cannot be removed stays."""
        if self.made is not None:
            shutil.rmtree(self.made, ignore_errors=True)


def remove_left_over() -> None:
    """Remove what processes that were killed have left of theirs."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                _remove_if_free(Path(entry.path))


def _remove_if_free(folder: Path) -> None:
    # It may be another user's, or gone by now.
    with contextlib.suppress(OSError):
        if folder.lstat().st_uid == os.getuid():
            _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    with (folder / _LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder() -> tuple[Path, IO[str]]:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # Nobody may see the file before it is locked.
    unseen = folder / f".{_LOCK}"
    lock = unseen.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unseen.rename(folder / _LOCK)
    return folder, lock
