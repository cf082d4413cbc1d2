"""From the progress bars of `huggingface_hub` to our `Progress`."""

import threading
from typing import Any

from chutes.models.progress import Progress

__all__ = ["bar_class"]


def bar_class(progress: Progress) -> type[Any]:
    """A class of bars that shows nothing, and tells `progress` the bytes that have come."""
    from huggingface_hub.utils.tqdm import tqdm

    count = _Count(progress)

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            self._size = 0
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call] # tqdm has no types

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts_bytes:
                self._size += int(n or 0)
                count.reached(self._size)
            return None

    return Bar


class _Count:
    """Bytes come from the network and go to the disk; each has its bar, and what counts is the one that is ahead."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._told = 0

    def reached(self, size: int) -> None:
        with self._lock:
            ahead = size - self._told
            if ahead <= 0:
                return
            self._told = size
        self._progress.advance(ahead)
