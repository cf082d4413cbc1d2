"""A server on this machine to which passthrough cords forward their calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

__all__ = ["FixedUpstream", "Upstream"]


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


@dataclass(frozen=True, slots=True)
class FixedUpstream:
    """A server that somebody else starts, on a port of this machine.

    Attributes:
        port: where it listens, on 127.0.0.1.
        name: what errors and logs call it.
        headers: none; the chute's `passthrough_headers` are added to every call.
    """

    port: int
    name: str = "server"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def retry_after(self) -> float | None:
        """None: whether it answers is seen when it is asked."""
        return None
