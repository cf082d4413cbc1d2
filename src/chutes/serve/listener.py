"""The listening socket: bound once, held while nobody accepts, handed from process to process."""

import errno
import os
import socket
from typing import Any

from chutes.errors import ServeError

__all__ = ["BACKLOG", "LISTEN_FD", "bind", "from_fd", "url_of"]

# Connections that the kernel keeps while nobody accepts: during a reload they wait here.
BACKLOG = 2048
# The variable in which a child process is told the number of the socket that it inherited.
LISTEN_FD = "CHUTES_LISTEN_FD"

_HIGHEST_PORT = 65535
_STDERR = 2


def bind(host: str, port: int, option: str = "--port") -> socket.socket:
    """Return a non-blocking socket that listens on `host` and `port`; port 0 takes any free one.

    `::` takes IPv4 too. No child process inherits the socket by accident: hand it on as an inherited descriptor.

    Args:
        host: an address of this machine, or a name of one.
        port: 0 to 65535.
        option: what the user wrote the port after, for the errors.

    Raises:
        ServeError: the port is taken or privileged, or the host is none of this machine; one line.
    """
    if not 0 <= port <= _HIGHEST_PORT:
        raise ServeError(f"Invalid port {port}. Write one from 1 to 65535, for example `{option} 8001`.")
    _occupy_standard_numbers()
    family, address = _resolve(host, port)
    try:
        return _listen(family, address)
    except OSError as exc:
        raise ServeError(_why_not(exc, host, port, option)) from exc


def from_fd(fd: int) -> socket.socket:
    """Return the listening socket that this process inherited under the number `fd`, non-blocking.

    Raises:
        ServeError: it is no open socket that listens.
    """
    wrong = f"Invalid {LISTEN_FD}={fd}: no listening socket. Unset it, to have a socket made."
    try:
        listener = socket.socket(fileno=fd)
    except OSError as exc:
        raise ServeError(wrong) from exc
    try:
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        # macOS before 10.15 cannot tell; a socket that does not listen fails at its first accept.
        listens = 1
    if not listens:
        listener.detach()
        raise ServeError(wrong)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """The address as a link; a socket on every interface is shown as 127.0.0.1 or [::1]."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _occupy_standard_numbers() -> None:
    """Started without stdout, a C library that prints would write into the connection that got the number 1."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)


def _listen(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    unknown = f"Unknown host {host!r}. Write an address of this machine, for example `--host 127.0.0.1`."
    if not host:
        raise ServeError(unknown)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise ServeError(unknown) from exc
    # `localhost` is both 127.0.0.1 and ::1; clients that try only one try the former.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def _why_not(exc: OSError, host: str, port: int, option: str) -> str:
    match exc.errno:
        case errno.EADDRINUSE:
            other = port + 1 if port < _HIGHEST_PORT else port - 1
            return f"Port {port} on {host} is taken. Stop what listens there, or try `{option} {other}`."
        case errno.EACCES | errno.EPERM:
            return (
                f"Port {port} needs administrator rights. Choose one above 1023, for example `{option} 8001`."
            )
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine. Write one that is, for example `--host 127.0.0.1`."
        case _:
            reason = os.strerror(exc.errno) if exc.errno else str(exc)
            return f"Cannot listen on {host}, port {port}: {reason}. Try `--host 127.0.0.1 {option} 8001`."
