"""Where the calls of a passthrough cord go: which upstream, which path on it, with which headers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.types import Scope

from chutes.chute.cord import Cord
from chutes.chute.passthrough import PLACEHOLDER
from chutes.errors import ServeError
from chutes.serve.passthrough_headers import Outgoing
from chutes.serve.upstream import FixedUpstream, Upstream

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["DEFAULT_PORT", "Address", "Target", "check_no_loop", "upstream_of"]

DEFAULT_PORT = 8000
"""Where a cord forwards to that names no port, in a chute without an engine; the public SDK's."""

# Where the engine of a template listens in the public SDK: files written for that have it in their own cords.
_PUBLIC_ENGINE_PORT = 10101
_SAFE = "/:@!$&'()*+,;=~"
_UNSENDABLE = re.compile(rb"[^\x21-\x7e]")
_REACHED_FROM_HERE = ("127.0.0.1", "0.0.0.0", "::")  # noqa: S104 - they are compared
_DOTS = {".", ".."}


def upstream_of(served: "ServedChute", cord: Cord) -> Upstream:
    """Where the calls of a cord go: to its port, to the chute's engine, or to the port that the public SDK takes."""
    port = cord.passthrough_port
    if served.engine is not None and port in (None, _PUBLIC_ENGINE_PORT):
        return served.engine
    return FixedUpstream(DEFAULT_PORT if port is None else port)


def check_no_loop(served: "ServedChute", cords: Iterable[Cord], host: str, port: int) -> None:
    """Refuse to serve on an address to which passthrough cords forward.

    Raises:
        ServeError: a call of such a cord would come back to the chute itself, for ever.
    """
    if host not in _REACHED_FROM_HERE:
        return
    for cord in cords:
        if upstream_of(served, cord).url == f"http://127.0.0.1:{port}":
            raise ServeError(
                f"The passthrough cord {cord.name!r} forwards to port {port}, on which the chute itself listens. Write the "
                f"port of the server behind it, for example passthrough_port={port + 1}, or serve the chute on another port."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An upstream as a call needs it.

    Attributes:
        url: from which this was made.
        host: without the port.
        added: headers that every call gets.
        outgoing: makes the headers of a call.
    """

    url: str
    host: bytes
    port: int
    added: Mapping[str, str]
    outgoing: Outgoing


class Target:
    """What a cord asks its upstream for.

    Args:
        cord: the passthrough cord.
    """

    def __init__(self, cord: Cord) -> None:
        self.method = cord.passthrough_method
        path = cord.path if cord.passthrough_path is None else cord.passthrough_path
        # Texts and names in turn.
        self._parts = PLACEHOLDER.split(path)
        self._fixed = path.encode() if len(self._parts) == 1 else None
        self._address: Address | None = None

    def address(self, upstream: Upstream, served: "ServedChute") -> Address:
        """The address of an upstream; the chute's `passthrough_headers` may have changed since the last call.

        Raises:
            DefinitionError: one of these headers cannot be sent.
        """
        url, added = upstream.url, {**served.chute.passthrough_headers, **upstream.headers}
        known = self._address
        if known is None or known.url != url or known.added != added:
            known = self._address = _address(url, added, served)
        return known

    def of(self, scope: Scope) -> bytes:
        """The path and the query of one call.

        Raises:
            HTTPException: 404, a placeholder has `.` or `..` for a part: it would lead out of the path.
        """
        path = self._fixed if self._fixed is not None else self._filled(scope["path_params"])
        query: bytes = scope["query_string"]
        if not query:
            return path
        if _UNSENDABLE.search(query):
            query = _UNSENDABLE.sub(lambda found: b"%%%02X" % found.group()[0], query)
        return path + b"?" + query

    def _filled(self, values: Mapping[str, object]) -> bytes:
        written = list(self._parts)
        for index in range(1, len(written), 2):
            value = str(values[written[index]])
            if not _DOTS.isdisjoint(value.split("/")):
                raise HTTPException(404)
            written[index] = quote(value, safe=_SAFE)
        return "".join(written).encode()


def _address(url: str, added: dict[str, str], served: "ServedChute") -> Address:
    parts = urlsplit(url)
    host, port = (parts.hostname or "127.0.0.1").encode(), parts.port or 80
    outgoing = Outgoing(parts.netloc.rpartition("@")[2].encode(), added, served.keys)
    return Address(url=url, host=host, port=port, added=added, outgoing=outgoing)
