"""A port of the loopback interface that an engine keeps over its restarts."""

import socket

__all__ = ["LOOPBACK", "ReservedPort"]

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A free port, held by a socket that is bound and never listens.

    Servers share it, since they set `SO_REUSEADDR` or `SO_REUSEPORT` as it does; the kernel gives it to nobody who asks
    for any port, nor to an outgoing connection, while an engine loads for minutes.
    """

    def __init__(self) -> None:
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for option in ("SO_REUSEADDR", "SO_REUSEPORT"):
            if hasattr(socket, option):
                self._holder.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        self._holder.bind((LOOPBACK, 0))
        self.number: int = self._holder.getsockname()[1]

    def release(self) -> None:
        """Give it back."""
        self._holder.close()
