"""Real HTTP servers on 127.0.0.1 for tests: one that runs an ASGI application, one that says exactly what it is told."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import uvicorn

START_SECONDS = 20


@contextlib.contextmanager
def asgi_server(app: Any, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Serves `app` in a thread, and yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan=lifespan, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = lifespan == "off"
            thread.join(START_SECONDS)


class ScriptedServer:
    """Answers its first connection with the first script, and so on; the last script serves all further ones.

    A script is bytes to send once the request's head is there; None closes the connection without an answer, and
    `RESET` breaks it. After each answer the connection is closed, with `hold_open` once the client has closed it.
    """

    RESET = b"reset"

    def __init__(self, scripts: Sequence[bytes | None]) -> None:
        self.scripts = list(scripts)
        self.hold_open = False
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(START_SECONDS)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(read_request(connection))
                if script == self.RESET:
                    linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
                elif script is not None:
                    connection.sendall(script)
                    if self.hold_open:
                        connection.recv(1)


def http_answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer for a `ScriptedServer`; `Retry_After="4"` is the header `Retry-After: 4`."""
    given = {"Content-Length": str(len(body)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@contextlib.contextmanager
def unused_address() -> Iterator[str]:
    """An address that refuses connections."""
    with socket.socket() as bound:
        # A port that is bound and not listened on refuses, and nobody else can take it.
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextlib.contextmanager
def silent_address() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def read_request(connection: socket.socket) -> bytes:
    """The head of a request, with its body as far as `Content-Length` says."""
    connection.settimeout(10)
    received = b""
    while b"\r\n\r\n" not in received and (chunk := connection.recv(65536)):
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while missing > 0 and (chunk := connection.recv(65536)):
        received += chunk
        missing -= len(chunk)
    return received


def wait_until(happened: Callable[[], Any], seconds: float = START_SECONDS) -> None:
    """Returns when `happened()` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"It did not happen within {seconds} s."
        time.sleep(0.005)
