"""A server that webhooks are sent to: it keeps what it is told, and answers as a test says."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3RzLCBubyBtb3Jl"
OTHER_SECRET = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCBsb25n"


@dataclass(frozen=True, slots=True)
class Told:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Of the webhook."""
        return self.headers["webhook-id"]

    def verified(self, secret: str = SECRET) -> dict[str, Any]:
        """What it says, once its signature was checked; raises when that is wrong."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers each request with the next of `answers`, the last one for all further ones.

    An answer is a status, or a status and headers; None answers nothing until the receiver is closed.
    """

    def __init__(self, *answers: Any, port: int = 0, certificate: Path | None = None) -> None:
        self.answers = list(answers or [204])
        self.told: list[Told] = []
        self._closing = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.names: list[str] = []
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answers = receiver.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                receiver.told.append(Told(self.path, headers, body))
                if answer is None:
                    receiver._closing.wait(60)
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                """Say nothing."""

        return Handler


@contextlib.contextmanager
def receiver(*answers: Any, **options: Any) -> Iterator[Receiver]:
    """A receiver that is closed at the end."""
    made = Receiver(*answers, **options)
    try:
        yield made
    finally:
        made.close()
