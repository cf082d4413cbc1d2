"""A server on this machine to which passthrough cords forward their calls."""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Upstream"]


class Upstream(Protocol):
    """Where a passthrough cord forwards to; an engine's runner is one."""

    @property
    def name(self) -> str:
        """What errors and logs call it."""

    @property
    def url(self) -> str:
        """Its scheme, host and port, such as `http://127.0.0.1:10101`; it stays the same over restarts."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What every forwarded request gets on top, such as the engine's key."""

    def retry_after(self) -> float | None:
        """Seconds after which it is worth to ask again; None while it can be asked now."""
