"""A model server inside this process, for tests: the runner's face, the OpenAI API, and no model."""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import uvicorn

from chutes.engines.fake_openai import FakeOpenAI
from chutes.engines.port import LOOPBACK
from chutes.engines.runner import EngineStatus
from chutes.errors import EngineError

__all__ = ["FakeEngine"]

_SECONDS = 20.0
_POLL = 0.005


class FakeEngine:
    """Answers over HTTP on a port of its own, in a thread; takes the place of an `EngineRunner`.

    Use it as a `with` or an `async with` block, or by `start` and `stop`. By default it repeats what it was told.

    Attributes:
        served_name: the one model that it knows.
        openai: what it says and what it was asked; change its fields to make it slow or to make it fail.
    """

    def __init__(
        self,
        served_name: str = "fake",
        *,
        answer: Callable[[str], str] | None = None,
        pause: float = 0.0,
        key: str = "fake-key",
        engine: str = "fake",
    ) -> None:
        """Make one that is not started.

        Args:
            served_name: what callers write as `model`.
            answer: from the last message, or the prompt, to the text of the answer.
            pause: seconds before each token of a stream.
            key: what requests have to present, as `headers` has it.
            engine: the engine that it stands for, such as `llamacpp`, in its status and in the forms that differ.
        """
        self.served_name = served_name
        self.openai = FakeOpenAI(model=served_name, key=key, pause=pause, engine=engine)
        if answer is not None:
            self.openai.answer = answer
        self._url = ""
        self._retry_after: float | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    @property
    def name(self) -> str:
        """What errors and logs call it."""
        return "fake engine"

    @property
    def url(self) -> str:
        """Its scheme, host and port.

        Raises:
            EngineError: it was not started.
        """
        if not self._url:
            raise EngineError("The fake engine is not started: put the test inside `with engine:`.")
        return self._url

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request to it needs."""
        return {"authorization": f"Bearer {self.openai.key}"} if self.openai.key else {}

    @property
    def status(self) -> EngineStatus:
        """Where it stands now."""
        return EngineStatus(
            engine=self.openai.engine, version="fake 0", model=self.served_name, state=self._state()
        )

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The bodies of the calls so far, each with its path as `path`."""
        return self.openai.requests

    def retry_after(self) -> float | None:
        """What `become_unready` was called with; None while it is ready."""
        return self._retry_after if self._server is not None else 1.0

    def become_unready(self, retry_after: float = 3.0) -> None:
        """Stand there as an engine that is started again."""
        self._retry_after = retry_after

    def become_ready(self) -> None:
        """Be ready again."""
        self._retry_after = None

    async def start(self) -> None:
        """Listen."""
        self._begin()

    async def wait_ready(self) -> None:
        """Return at once: it is ready when it is started.

        Raises:
            EngineError: it was not started.
        """
        _ = self.url

    async def stop(self) -> None:
        """Listen no more, and break the streams that are open."""
        self._end()

    def _state(self) -> str:
        if self._server is None:
            return "stopped"
        return "ready" if self._retry_after is None else "backing off"

    def _begin(self) -> None:
        if self._server is not None:
            return
        listener = socket.create_server((LOOPBACK, 0))
        config = uvicorn.Config(
            self.openai.application(), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        self._server = server = uvicorn.Server(config)
        self._url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        self._thread = threading.Thread(target=_serve, args=(server, listener), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _SECONDS
        while not server.started:
            if time.monotonic() > deadline:
                raise EngineError(f"The fake engine did not start within {_SECONDS:g} s.")
            time.sleep(_POLL)

    def _end(self) -> None:
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.should_exit = server.force_exit = True
            self._thread.join(_SECONDS)
            self._url = ""


def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    with listener:
        server.run(sockets=[listener])
