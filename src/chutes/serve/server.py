"""Serve a chute on a port: signals, draining, exit codes."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import uvicorn

from chutes.chute.chute import Chute, definition_of
from chutes.errors import ChutesError, DefinitionError, EngineError, ModelError, StartupError
from chutes.loading import is_loading
from chutes.serve.app import ServedChute, serve_chute
from chutes.serve.banner import banner
from chutes.serve.ending import end_now, end_soon, leave_threads_behind
from chutes.serve.holding import Holding
from chutes.serve.leaving import stop_listening
from chutes.serve.lifecycle import State
from chutes.serve.listener import bind, from_fd, url_of
from chutes.serve.logs import configure_logging
from chutes.serve.probes import probe_answers
from chutes.serve.protocol import Protocol, SocketProtocol, drop_stuck
from chutes.serve.proxies import behind_proxies
from chutes.serve.streaming import StreamAborted
from chutes.settings import Settings
from chutes.tracebacks import format_user_traceback

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

__all__ = ["ServerOptions", "run_local", "serve"]

_SAME_SIGNAL_SECONDS = 0.5
_LAST_TASKS_SECONDS = 1.0
_THREADS_GRACE_SECONDS = 1.0
_INTERRUPTED_SECONDS = 2.0
_HELD_SECONDS = 2.0
_TICKS_PER_SECOND = 10
_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where and how to serve.

    Attributes:
        host: address to bind to.
        port: port to listen on; 0 takes a free one.
        log_level: debug, info, warning or error.
        fd: descriptor of a socket that listens already; then host and port say only what it is bound to.
        probe_port: a second port, on the same host, that answers `/livez`, `/readyz` and `/metrics` whatever the chute's own
            code does; 0 takes a free one, None none.
        http: answer requests; a worker does not, and has no port of its own.
        jobs: run the jobs here, besides accepting them.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    log_level: str = "info"
    fd: int | None = None
    probe_port: int | None = None
    http: bool = True
    jobs: bool = True


def serve(chute: Chute, options: ServerOptions, settings: Settings) -> int:
    """Serve `chute` until a signal ends it; returns the exit code of the process.

    Raises:
        ServeError: the address cannot be bound, or a passthrough cord leads back to it.
        StartupError: a startup hook failed.
        DefinitionError: a cord or websocket cannot be served.
    """
    configure_logging(settings, options.log_level)
    with _listener(options) as listener, _probe_port(options) as probes:
        served = _served(chute, settings)
        served.takes_requests, served.background.runs_here = options.http, options.jobs
        if listener is not None:
            _warn_about_open_door(served, listener)
            _refuse_loops(served, listener)
        server = _Server(served, listener, probes)
        _quieten_uvicorn()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[] if listener is None else [listener])
        finally:
            server.let_go()
    _leave_threads_behind(served, server.exit_code)
    return server.exit_code


def run_local(chute: Chute, *, host: str, port: int, reload: bool, log_level: str) -> None:
    """What `Chute.run_local` does: serve from the program that runs now, and end it with an exit code."""
    if is_loading():
        raise DefinitionError(
            'run_local() serves while the file is only being loaded. Put it under `if __name__ == "__main__":`.'
        )
    settings = Settings.from_env()
    configure_logging(settings, log_level)
    logger = logging.getLogger("chutes.serve")
    try:
        program = _program_file()
        if reload and settings.listen_fd is None and program is not None:
            # It brings what watches files, which most processes never need.
            from chutes.serve.reload import serve_with_reload, this_program

            code = serve_with_reload(this_program(), watch=[program.parent], host=host, port=port)
        else:
            if reload and program is None:
                logger.warning("There is no program file to watch: the chute runs without reload.")
            options = ServerOptions(
                host=host,
                port=port,
                log_level=log_level,
                fd=settings.listen_fd,
                probe_port=settings.probe_port,
            )
            code = serve(chute, options, settings)
    except StartupError as error:
        _log_startup_error(error)
        code = 1
    except ChutesError as error:
        logger.error("%s", error)  # noqa: TRY400 - the text says all that there is to do
        code = 2
    if code:
        leave_threads_behind(code)
        sys.exit(code)


class _Server(uvicorn.Server):
    """Uvicorn's server, with our own start, signals and end."""

    def __init__(
        self, served: ServedChute, listener: socket.socket | None, probes: socket.socket | None
    ) -> None:
        config = served.chute.config
        # The chute's own entry, without the call that it is for other servers.
        entry = served.entry.__call__
        options = uvicorn.Config(
            cast("ASGIApplication", entry),
            interface="asgi3",
            http=Protocol,
            ws=SocketProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=cast("int", config.shutdown_grace),
        )
        options.app = cast("ASGIApplication", behind_proxies(entry, options.forwarded_allow_ips))
        super().__init__(options)
        self.exit_code = 0
        self._served = served
        self._listener = listener
        self._probe_url = url_of(probes) if probes is not None else None
        self._probing = Holding(probes, probe_answers(served)) if probes is not None else None
        # What a worker has not begun, others do as well.
        self._drain_delay = config.drain_delay if listener is not None else 0.0
        self._first_signal: float | None = None
        self._ending: threading.Timer | None = None

    def let_go(self) -> None:
        """The event loop has ended by itself: whatever the process does now, it may take its time."""
        if self._ending is not None:
            self._ending.cancel()
        self._served.watchdog.stop()
        if self._probing is not None:
            self._probing.stop()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end; the probes are answered from now on."""
        if self._probing is not None:
            self._probing.start()
            logging.getLogger("chutes.serve").info(
                "Probes are answered on %s.", self._probe_url, extra={"probe_url": self._probe_url}
            )
        super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the hooks while a thread of ours answers the probes, then let uvicorn take the socket."""
        self._served.watchdog.start()
        with (
            contextlib.nullcontext()
            if self._listener is None
            else Holding(self._listener, self._served.starting_answer)
        ):
            try:
                await self._served.lifecycle.start()
            except StartupError as error:
                self._end_though_held(1, error)
                raise
        if self.should_exit:
            return
        # What was made until now lives as long as the process: the collector need not walk through it again and again,
        # with every request waiting for some 40 ms.
        gc.freeze()
        await super().startup(sockets)
        self._say_ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: uvicorn's own housekeeping; once a second ours."""
        if counter % _TICKS_PER_SECOND == 0:
            drop_stuck(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests finish, then run the shutdown hooks."""
        logger = logging.getLogger("chutes.serve")
        self._say_stopping(logger)
        await stop_listening(self, self._listener)
        drop_stuck(self.server_state.connections, patience=0)
        await super().shutdown(sockets)
        if left := self.server_state.tasks:
            # What was cut off cleans up before the hooks take away what it works with.
            await asyncio.wait(left, timeout=_LAST_TASKS_SECONDS)
        await self._served.lifecycle.stop()
        logger.info("Stopped.")
        self._end_though_held(self.exit_code)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; unlike uvicorn's, a stop that was asked for is a success."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        former = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """The first signal drains, a second one ends the process at once."""
        now = time.monotonic()
        if self._first_signal is not None:
            # A supervisor forwards the Ctrl-C that reached the whole group: that is the same signal.
            if now - self._first_signal > _SAME_SIGNAL_SECONDS:
                end_now(128 + sig)
            return
        self._first_signal = now
        lifecycle = self._served.lifecycle
        if lifecycle.state in (State.NEW, State.STARTING):
            self.exit_code, self.should_exit = 128 + sig, True
            # A hook in a thread hears of no interruption: the process does not wait for it.
            end_soon(self.exit_code, _INTERRUPTED_SECONDS)
            raise KeyboardInterrupt
        lifecycle.drain()
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, self._drain_delay, self._stop_accepting)

    def _say_stopping(self, logger: logging.Logger) -> None:
        admission, runs = self._served.admission, self._served.background.running
        if self._listener is None:
            logger.info("Stopping: %s runs of jobs have not ended.", runs)
        else:
            logger.info("Stopping: %s calls run, %s wait.", admission.running, admission.waiting)

    def _say_ready(self) -> None:
        if self._listener is None:
            self._say_working()
            return
        url, config = url_of(self._listener), self._served.chute.config
        facts: dict[str, object] = {"url": url, "concurrency": config.concurrency}
        where = url
        if self._probe_url is not None:
            facts["probe_url"] = self._probe_url
            where += f", probes on {self._probe_url}"
        model = ""
        if (engine := self._served.engine) is not None:
            facts |= {"model": engine.served_name, "engine": engine.name}
            model = f"{engine.served_name} by {engine.name}"
        facts["plain"] = banner(self._served.chute, url, self._probe_url, model)
        logging.getLogger("chutes.serve").info(
            "%s/%s is ready on %s", config.username, config.name, where, extra=facts
        )

    def _say_working(self) -> None:
        config, jobs = self._served.chute.config, definition_of(self._served.chute).jobs
        logging.getLogger("chutes.serve").info(
            "%s/%s runs its jobs, %s at once: %s.",
            config.username,
            config.name,
            self._served.background.max_jobs,
            ", ".join(jobs),
        )

    def _stop_accepting(self) -> None:
        self.should_exit = True

    def _end_though_held(self, code: int, error: StartupError | None = None) -> None:
        """The event loop waits for all tasks and for the threads of `asyncio.to_thread`; some never end."""

        def say() -> None:
            if error is not None:
                _log_startup_error(error)
            self._served.logger.warning("The process ends while tasks or threads of it still run.")

        self._ending = end_soon(code, _HELD_SECONDS, say)


def _listener(options: ServerOptions) -> contextlib.AbstractContextManager[socket.socket | None]:
    if not options.http:
        return contextlib.nullcontext()
    return bind(options.host, options.port) if options.fd is None else from_fd(options.fd)


def _probe_port(options: ServerOptions) -> contextlib.AbstractContextManager[socket.socket | None]:
    if options.probe_port is None:
        return contextlib.nullcontext()
    return bind(options.host, options.probe_port, option="--probe-port")


def _served(chute: Chute, settings: Settings) -> ServedChute:
    """The chute's running self; a chute whose file uses `chute.app` has one already."""
    definition = definition_of(chute)
    if not isinstance(definition.running, ServedChute):
        definition.running = serve_chute(chute, settings)
    return definition.running


def _warn_about_open_door(served: ServedChute, listener: socket.socket) -> None:
    host = str(listener.getsockname()[0])
    if not served.entry.has_keys and not host.startswith(_LOOPBACK):
        logging.getLogger("chutes.serve").warning(
            "The chute listens on %s without API keys: whoever reaches this machine can use it. Set CHUTES_API_KEYS, or bind "
            "to 127.0.0.1.",
            host,
        )


def _refuse_loops(served: ServedChute, listener: socket.socket) -> None:
    forwarded = [cord for cord in served.chute.cords if cord.passthrough]
    if forwarded:
        from chutes.serve.passthrough_target import check_no_loop

        host, port = listener.getsockname()[:2]
        check_no_loop(served, forwarded, str(host), port)


def _leave_threads_behind(served: ServedChute, code: int) -> None:
    """Python waits for every thread before it exits; one that hangs in the user's code must not hold the process."""
    deadline = time.monotonic() + _THREADS_GRACE_SECONDS
    while (left := _busy_threads(served)) and time.monotonic() < deadline:
        time.sleep(0.01)
    if left:
        served.logger.warning("The process ends while %s threads still run: %s.", len(left), ", ".join(left))
        end_now(code)


def _busy_threads(served: ServedChute) -> list[str]:
    """Our pools have ended their idle threads by now: what is left runs user code."""
    return [one.name for one in threading.enumerate() if one.name.startswith(served.threads.name)]


def _log_startup_error(error: StartupError) -> None:
    logger = logging.getLogger("chutes.serve")
    if isinstance(error.__cause__, EngineError | ModelError):
        logger.error("%s", error)
        return
    logger.error("%s\n%s", error, format_user_traceback(error.__cause__ or error))


def _program_file() -> Path | None:
    """The file of the program that runs, when it is one that can be started again."""
    main = sys.modules.get("__main__")
    name = getattr(main, "__file__", None)
    return Path(name).resolve() if name and Path(name).is_file() else None


def _quieten_uvicorn() -> None:
    logging.getLogger("uvicorn.error").addFilter(_OnlyFailures())


class _OnlyFailures(logging.Filter):
    """Drops what uvicorn takes for a failure: a broken stream (it is in our log), a refused handshake, a bad frame."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        # Uvicorn says this of every websocket that was denied with a status, which is an answer.
        unanswered = record.msg == "ASGI callable returned without completing handshake."
        # The client sent text in a websocket that is none, and is told so with 1007.
        return not unanswered and not isinstance(error, StreamAborted | UnicodeDecodeError)
