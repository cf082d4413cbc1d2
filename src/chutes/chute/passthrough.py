"""What a passthrough cord may say: the path on its upstream, and the headers that its calls get."""

import re
from collections.abc import Mapping
from typing import Any

from chutes.errors import DefinitionError, InvalidPath

__all__ = ["PLACEHOLDER", "check_passthrough", "check_passthrough_headers"]

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::(?:str|path|int|float|uuid))?\}")
"""A placeholder in a path; its group is the name."""

_HIGHEST_PORT = 65535
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_OWN = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip


def check_passthrough_headers(headers: Mapping[Any, Any]) -> None:
    """Refuse what is no header, or what describes the connection to the upstream rather than the call.

    Raises:
        DefinitionError: a name or a value cannot be sent.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise DefinitionError(
                f"Invalid name {name!r} in passthrough_headers. Write the name of a header, for example 'Authorization'."
            )
        if name.lower() in _OWN:
            raise DefinitionError(
                f"Invalid name {name!r} in passthrough_headers: this header belongs to the connection, and is made for "
                "each call. Take it out."
            )
        # The value may be a key: it does not go into the text.
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or value != value.strip():
            raise DefinitionError(
                f"Invalid value of {name!r} in passthrough_headers. Write text in one line, with no space around it."
            )


def check_passthrough(name: str, address: str, path: object, port: object) -> None:
    """Refuse a path or a port of the upstream that no call can have.

    Args:
        name: the cord's.
        address: the cord's own path.
        path: on the upstream; None takes the cord's own.
        port: of the upstream; None leaves it to the chute.

    Raises:
        InvalidPath: the path has a wrong form, or a placeholder that the cord's path has not.
        DefinitionError: the port is none.
    """
    if port is not None and (
        isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= _HIGHEST_PORT
    ):
        raise DefinitionError(
            f"Invalid passthrough_port {port!r} for cord {name!r}. It takes a port, for example passthrough_port=8001."
        )
    if path is None:
        return
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or not _LITERAL.fullmatch(PLACEHOLDER.sub("", path))
    ):
        raise InvalidPath(
            f"Invalid passthrough_path {path!r} for cord {name!r}. It is a path on the upstream, for example '/v1/models'."
        )
    known = PLACEHOLDER.findall(address)
    for wanted in PLACEHOLDER.findall(path):
        if wanted not in known:
            raise InvalidPath(
                f"Invalid passthrough_path {path!r} for cord {name!r}: its path {address!r} has no placeholder "
                f"{{{wanted}}}. Add it there."
            )
