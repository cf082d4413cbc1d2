"""Answer on a listening socket while the real server cannot: from a thread with a loop of its own."""

import asyncio
import concurrent.futures
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

__all__ = ["Answer", "HeldAnswer", "Holding", "held_json", "starting_answer"]

_LONGEST_HEAD = 65536
_LONGEST_BODY = 64 * 1024 * 1024
_HEAD_SECONDS = 5.0
_BODY_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_MOST_CONVERSATIONS = 512
_LAST_ANSWERS_SECONDS = 0.5
_ACCEPT_PAUSE = 0.05
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*)")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAnswer:
    """One answer; length, connection and request id are added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


Answer = Callable[[str, str], HeldAnswer]


def held_json(status: int, content: dict[str, str], *headers: tuple[str, str]) -> HeldAnswer:
    """An answer with a JSON body."""
    body = json.dumps(content).encode()
    return HeldAnswer(status=status, headers=(("Content-Type", "application/json"), *headers), body=body)


def starting_answer(method: str, path: str) -> HeldAnswer:
    """What a chute answers while its startup hooks run: it lives, and it is not ready."""
    del method
    if path == "/livez":
        return held_json(200, {"status": "alive"})
    content = {"status": "starting"} if path in {"/readyz", "/health"} else {}
    return held_json(503, {**content, "detail": "The chute is starting."}, ("Retry-After", "1"))


class Holding:
    """Answers each request on `listener` while its `with` block lasts, whatever the main thread does.

    It accepts on a duplicate of the socket and never closes the original. At the end it accepts no more
    at once, gives the answers under way half a second, and leaves the connections that it did not accept
    to the next server. It answers as long as other threads let go of the interpreter: `time.sleep` and
    I/O do, a C extension may not.

    Args:
        listener: the socket; it listens already.
        answer: called with the method and the path of each request, in the thread.
        most: connections at once; a further one takes the place of the oldest.
    """

    def __init__(self, listener: socket.socket, answer: Answer, most: int = _MOST_CONVERSATIONS) -> None:
        self._listener = listener
        self._answer = answer
        self._most = most
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave = asyncio.Event()
        # In order of arrival.
        self._conversations: dict[asyncio.Task[None], None] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; connections are accepted when this returns."""
        running: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(running,), name="chutes-holding", daemon=True)
        self._thread.start()
        self._loop = running.result()

    def stop(self) -> None:
        """End; takes at most about half a second. Harmless when it has ended already."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._leave.set)
            thread.join()

    def _run(self, running: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._hold(running))

    async def _hold(self, running: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        # Not asyncio's server: when it closes, it forgets a connection that it accepted in the same turn.
        loop = asyncio.get_running_loop()
        try:
            listener = self._listener.dup()
        except OSError as exc:
            running.set_exception(exc)
            return
        with listener:
            listener.setblocking(False)
            loop.add_reader(listener, self._accept, listener)
            self._leave = asyncio.Event()
            running.set_result(loop)
            await self._leave.wait()
            loop.remove_reader(listener)
        if self._conversations:
            await asyncio.wait(self._conversations, timeout=_LAST_ANSWERS_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process took it, or the client left
        except OSError:
            # Out of descriptors: they come back as clients leave, and until then this must not spin.
            time.sleep(_ACCEPT_PAUSE)
            return
        if len(self._conversations) >= self._most:
            # Whoever needs this long is slow, on purpose or not, and must not keep others from their answer.
            oldest = next(iter(self._conversations))
            del self._conversations[oldest]
            oldest.cancel()
        task = asyncio.create_task(self._converse(connection))
        self._conversations[task] = None
        task.add_done_callback(lambda ended: self._conversations.pop(ended, None))

    async def _converse(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection, limit=_LONGEST_HEAD)
        # So `drain` waits until all of the answer is the kernel's.
        writer.transport.set_write_buffer_limits(0)
        try:
            await self._reply(reader, writer)
        except OSError:
            return  # the client left, or does not read
        finally:
            writer.transport.abort()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, fields = "", dict[str, str]()
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                method, path, fields = await _read_head(reader)
            answer = self._answer(method, path)
        except _NoRequest:
            return
        except _BadRequest as exc:
            answer = held_json(exc.status, {"detail": str(exc)})
        except TimeoutError:
            answer = held_json(408, {"detail": "The request did not arrive in time."})
        writer.write(_rendered(answer, fields.get("x-request-id", ""), with_body=method != "HEAD"))
        async with asyncio.timeout(_ANSWER_SECONDS):
            await writer.drain()
        writer.write_eof()
        if fields.keys() & {"content-length", "transfer-encoding"}:
            await _drain(reader)


class _NoRequest(Exception):  # noqa: N818 - no error: a browser opens connections that it may not use
    """The client closed the connection before it sent anything."""


class _BadRequest(Exception):  # noqa: N818 - named for the status
    """The bytes are no HTTP request; the text is for the client."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Method, path without query, and header fields by their names in lower case."""
    first = await _read_line(reader)
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise _BadRequest("The first line is no HTTP/1.1 request line.")
    fields: dict[str, str] = {}
    size = len(first)
    while line := await _read_line(reader):
        size += len(line)
        field = _FIELD.fullmatch(line)
        if size > _LONGEST_HEAD:
            raise _BadRequest("The header fields are too long.", status=431)
        if field is None:
            raise _BadRequest("A header field has no valid name, or no colon.")
        fields[field[1].decode("ascii").lower()] = field[2].decode("latin-1").strip()
    return match[1].decode("ascii"), _path_of(match[2].decode("latin-1")), fields


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as exc:
        raise _BadRequest("The header fields are too long.", status=431) from exc
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise _BadRequest("The request ends before its empty line.") from exc
        raise _NoRequest from exc
    return line.rstrip(b"\r\n")


def _path_of(target: str) -> str:
    path = target.partition("?")[0]
    if path.startswith(("http://", "https://")):
        return "/" + path.partition("://")[2].partition("/")[2]
    return path


def _rendered(answer: HeldAnswer, request_id: str, *, with_body: bool) -> bytes:
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = uuid.uuid4().hex
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines += [
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
        f"X-Request-ID: {request_id}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + (answer.body if with_body else b"")


async def _drain(reader: asyncio.StreamReader) -> None:
    """Read what the client still sends: to close on it would reset the connection and lose our answer."""
    taken = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while taken < _LONGEST_BODY and (data := await reader.read(_LONGEST_HEAD)):
                taken += len(data)
    except TimeoutError:
        return  # slow enough to have read the answer
