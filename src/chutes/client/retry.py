"""When a call is sent again, and after how long."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx2

__all__ = ["RetryPolicy", "is_refused", "is_repeatable", "may_repeat", "retry_after", "was_not_begun"]

_FIRST_BACKOFF = 0.25
_LONGEST_BACKOFF = 8.0
_REFUSALS = frozenset({429, 503})
_TOO_MANY_REQUESTS = 429
_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long.

    Attributes:
        retries: how many times a call is sent again at most.
        max_wait: seconds from the first attempt after which no further one begins.
    """

    retries: int = 3
    max_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError(f"Invalid retries {self.retries}. Write 0 for none, or a positive number.")
        if self.max_wait < 0:
            raise ValueError(f"Invalid max_wait {self.max_wait}. Write seconds, for example 60.0.")

    def delay(self, *, attempt: int, elapsed: float, asked: float | None) -> float | None:
        """Seconds until the next attempt; None to give up.

        Args:
            attempt: how many attempts were repeats already.
            elapsed: seconds since the first attempt.
            asked: what the answer's `Retry-After` asks for.
        """
        if attempt >= self.retries:
            return None
        longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2**attempt)
        wait = random.uniform(0, longest) if asked is None else asked  # noqa: S311 - spreads clients, guards nothing
        return wait if elapsed + wait <= self.max_wait else None


def is_refused(status: int) -> bool:
    """Whether the status says that the chute is too busy, or not ready."""
    return status in _REFUSALS


def is_repeatable(request: httpx2.Request) -> bool:
    """Whether to carry a request out twice does no more than once: by its method, or by the word of its caller."""
    return request.method in _IDEMPOTENT_METHODS or "Idempotency-Key" in request.headers


def was_not_begun(response: httpx2.Response, *, repeatable: bool) -> bool:
    """Whether a call that was answered may be sent again.

    A 503 without `Retry-After` may come from a proxy whose connection to the chute broke in the middle of the work.
    """
    status = response.status_code
    return status == _TOO_MANY_REQUESTS or (
        status in _REFUSALS and (repeatable or "Retry-After" in response.headers)
    )


def may_repeat(failure: httpx2.RequestError, *, repeatable: bool, broke_in_head: bool = False) -> bool:
    """Whether a request that failed without an answer may be sent again.

    One that never left as a whole may be, whatever it is. One that left may have been carried out, so only what
    does the same twice is repeated; and never after a timeout, since the work may still go on.
    """
    if isinstance(failure, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        return True
    if isinstance(failure, (httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return repeatable or broke_in_head
    return False


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a `Retry-After` header asks to wait; None when it is missing or makes no sense.

    Args:
        headers: the answer's headers.
        now: seconds since 1970, which a date in the header is compared with.
    """
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, now)
    # The comparison is also false for NaN.
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str, now: float) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return float("nan")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)
