"""What a load needs of a connection and of time, and what it gets back for each request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

__all__ = ["Answer", "Done", "Line", "Problem", "Timer", "TimerHandle", "WireRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A request as the bytes that are sent.

    Attributes:
        data: head and body.
        headless: whether the answer has no body, whatever its head says: that of a HEAD.
        keep: whether the answer's whole body is wanted; the body of a good answer is only counted otherwise.
    """

    data: bytes
    headless: bool = False
    keep: bool = False


class Problem(NamedTuple):
    """Why a request has no whole answer.

    Attributes:
        kind: a few words that are the same for all requests that failed alike.
        text: what went wrong with this one.
    """

    kind: str
    text: str


# Named tuples here: one is made for each request, and a frozen dataclass takes several times as long to make.
class Answer(NamedTuple):
    """How one request ended; all times are those of the timer.

    Attributes:
        status: the HTTP status, 0 when there was none.
        ended: when the last byte came, or when the request was given up.
        first: when the first chunk came, 0 when none did; comments of an event stream are no chunks.
        size: bytes of the body.
        chunks: events of an event stream, else chunks of the transfer.
        streamed: whether it came as a stream.
        problem: why it is not whole, or not good in spite of its status.
        retry_after: the header `Retry-After`, empty when missing.
        body: the beginning of the body of a bad answer, or the whole body when it was wanted.
    """

    status: int
    ended: float
    first: float = 0.0
    size: int = 0
    chunks: int = 0
    streamed: bool = False
    problem: Problem | None = None
    retry_after: str = ""
    body: bytes = b""

    @property
    def good(self) -> bool:
        """Whether the call succeeded."""
        return self.problem is None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's successes


Done: TypeAlias = Callable[[Answer], object]


class Line(Protocol):
    """A client's connection, which is made, and made again, when a request needs it."""

    def send(self, request: WireRequest, done: Done) -> None:
        """Send a request; `done` is called later, once, and never from within this call."""

    def expire(self, before: float) -> None:
        """Give up the request on which nothing has come since `before`."""

    def close(self) -> None:
        """Close the connection; a request on it is forgotten."""


class TimerHandle(Protocol):
    """Something that will happen."""

    def cancel(self) -> None:
        """Let it not happen."""


class Timer(Protocol):
    """The time that a load goes by, in seconds."""

    def now(self) -> float:
        """A time that never goes back, exact to microseconds."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> TimerHandle:
        """Call `callback` after `delay` seconds."""
