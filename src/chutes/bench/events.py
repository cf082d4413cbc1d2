"""Counting the events of a server-sent event stream, without making anything of them."""

from chutes.bench.said import said
from chutes.client.decode import Lines

__all__ = ["EventCounter"]

_END_OF_COMPLETION = b"[DONE]"


class EventCounter:
    """Counts the events of one answer.

    Attributes:
        error: what an `event: error` said, None as long as there was none.
    """

    def __init__(self) -> None:
        self.error: str | None = None
        self._lines = Lines()
        self._data: list[bytes] = []
        self._is_error = False

    def feed(self, chunk: bytes) -> int:
        """How many events `chunk` completes; comments and `[DONE]` are none."""
        found = 0
        for line in self._lines.feed(chunk):
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line:
                found += self._dispatch()
            elif line.startswith(b"event:"):
                self._is_error = line[6:].strip() == b"error"
        return found

    def _dispatch(self) -> int:
        data, is_error = self._data, self._is_error
        self._data, self._is_error = [], False
        if is_error:
            self.error = said(b"\n".join(data))
            return 0
        return 1 if data and data != [_END_OF_COMPLETION] else 0
