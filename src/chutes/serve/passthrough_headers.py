"""The headers of a forwarded call, on its way to the upstream and back."""

import re
from collections.abc import Iterable, Mapping

from starlette.types import Scope

from chutes.chute.passthrough import check_passthrough_headers
from chutes.serve.auth import KeyRing

__all__ = ["Headers", "Outgoing", "returned"]

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_NOT_SENT = _HOP_BY_HOP | {b"content-length", b"expect", b"host", b"x-forwarded-for", b"x-request-id"}
# The server puts the date on every answer by itself.
_NOT_RETURNED = _HOP_BY_HOP | {b"date"}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_WITHOUT_LENGTH = frozenset({204, 304})
_SPLIT = re.compile(rb"[,\s]+")


class Outgoing:
    """Makes the headers of calls to one upstream.

    Args:
        host: the upstream's own, with its port.
        added: what every call gets on top, the last of two of one name; the client's own of such a name is not sent.
        keys: the chute's own, which are nobody else's business.

    Raises:
        DefinitionError: a header that is added is none, or belongs to the connection.
    """

    def __init__(self, host: bytes, added: Mapping[str, str], keys: KeyRing) -> None:
        check_passthrough_headers(added)
        self._first: Headers = [(b"host", host)]
        self._added = {name.lower().encode(): value.encode() for name, value in added.items()}
        self._unsent = _NOT_SENT | self._added.keys()
        self._keys = keys

    def headers(
        self, scope: Scope, *, request_id: str, method: str, body: bytes | None, traceparent: str | None
    ) -> Headers:
        """The headers of one call.

        Args:
            scope: the client's request.
            request_id: its id.
            method: the verb of the call.
            body: all of the body; None while it is on its way.
            traceparent: the current span; None leaves what the client sent.
        """
        given: Headers = scope["headers"]
        unsent = self._unsent | _named_by_connection(given)
        if traceparent is not None:
            unsent |= {b"traceparent"}
        kept = [header for header in given if header[0] not in unsent and not self._is_own_key(*header)]
        headers = [*self._first, *kept, *self._added.items(), *_forwarding(scope, given)]
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        if traceparent is not None:
            headers.append((b"traceparent", traceparent.encode()))
        headers += _framing(given, method, body)
        return headers

    def _is_own_key(self, name: bytes, value: bytes) -> bool:
        if name not in (b"authorization", b"x-api-key"):
            return False
        return self._keys.admits([(name, value)])


def returned(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of the upstream's answer that the client gets, their names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _NOT_RETURNED | _named_by_connection(lowered)
    if status in _WITHOUT_LENGTH:
        dropped |= {b"content-length"}
    return [header for header in lowered if header[0] not in dropped]


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """What a `Connection` header calls its own (RFC 9110, section 7.6.1)."""
    for name, _ in headers:
        if name == b"connection":
            break
    else:
        return frozenset()
    values = [value.lower() for name, value in headers if name == b"connection"]
    return frozenset(part for value in values for part in _SPLIT.split(value)) - {b"content-length"}


def _forwarding(scope: Scope, given: Headers) -> Headers:
    """Who asks, and how: what the call looked like before it was forwarded."""
    present: dict[bytes, bytes] = dict(given)
    found: Headers = []
    chain = [value for name, value in given if name == b"x-forwarded-for"]
    client = scope.get("client")
    if client is not None:
        address = client[0].encode()
        # A server that trusts the proxy before it has put the last of the chain in the client's place.
        if not chain or _SPLIT.split(chain[-1])[-1] != address:
            chain.append(address)
    if chain:
        found.append((b"x-forwarded-for", b", ".join(chain)))
    if b"x-forwarded-proto" not in present:
        found.append((b"x-forwarded-proto", scope.get("scheme", "http").encode()))
    if b"x-forwarded-host" not in present and b"host" in present:
        found.append((b"x-forwarded-host", present[b"host"]))
    return found


def _framing(given: Headers, method: str, body: bytes | None) -> Headers:
    """How the upstream finds the end of the body."""
    if body is not None:
        announced = bool(body) or method in _WITH_BODY or any(name == b"content-length" for name, _ in given)
        return [(b"content-length", b"%d" % len(body))] if announced else []
    lengths = [header for header in given if header[0] == b"content-length"]
    return lengths[:1] or [(b"transfer-encoding", b"chunked")]
