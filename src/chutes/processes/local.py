"""Child processes of this machine, each under a reaper that leaves none of their tree behind."""

import asyncio
import logging
import math
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from asyncio.subprocess import Process as ReaperProcess
from contextlib import suppress
from functools import partial
from pathlib import Path

from chutes.errors import ProcessError
from chutes.processes.command import Command
from chutes.processes.output import Output
from chutes.processes.process import OnLine, describe_exit

__all__ = ["LocalLauncher", "LocalProcess"]

logger = logging.getLogger("chutes.processes")

_REAPER = Path(__file__).with_name("reaper.py")
_CHUNK = 65536
# All writers are dead by then; what is left is in the pipe.
_LAST_OUTPUT = 2.0
# The reaper gives up after 10 s; one that was itself stopped by a signal never answers.
_REAPER_TIMEOUT = 15.0


class LocalLauncher:
    """Starts child processes on this machine.

    The child, its children and theirs are gone within a second after this process died, however it died.
    On Linux that includes those that made a session of their own or let their parent die.
    """

    async def launch(self, command: Command, on_line: OnLine | None = None) -> "LocalProcess":
        """Start `command` and return as soon as it runs.

        Raises:
            ProcessError: there is no such program or folder, or it may not be run.
        """
        output = Output(on_line or partial(logger.info, "[%s] %s", command.name))
        ours, theirs = socket.socketpair()
        starting = asyncio.create_task(_start_reaper(command, theirs))
        try:
            # Whoever is cancelled in the midst of a start would lose the handle of a process that runs.
            reaper = await asyncio.shield(starting)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
        except BaseException:
            ours.close()
            await _abandoned(starting)
            raise
        finally:
            theirs.close()
        try:
            pid = await _started(command, reader)
        except BaseException:
            writer.close()
            await reaper.wait()
            raise
        return LocalProcess(command, output, pid=pid, reaper=reaper, reader=reader, writer=writer)


class LocalProcess:
    """A running child of this machine; see `Process`.

    Attributes:
        pid: the process id of the program itself.
    """

    def __init__(
        self,
        command: Command,
        output: Output,
        *,
        pid: int,
        reaper: ReaperProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.pid = pid
        self._command = command
        self._reaper = reaper
        self._channel = writer
        self._output = output
        self._asked_to_stop = False
        self._ended = asyncio.create_task(self._follow(reader))

    @property
    def exit_code(self) -> int | None:
        """The program's exit status, -N when signal N ended it, None while it runs."""
        return self._ended.result() if self._ended.done() and not self._ended.cancelled() else None

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """The last lines of its output, the newest last."""
        return self._output.tail(lines)

    async def wait_ready(self) -> None:
        """Wait until the command's ready check is fulfilled.

        Raises:
            ProcessError: it ended first, or its `start_timeout` has passed.
        """
        check = self._command.ready
        if check is None:
            return
        ready = asyncio.create_task(check.wait(self._output))
        try:
            await asyncio.wait(
                {ready, self._ended}, timeout=self._command.start_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if self._ended.done():
                raise self._error(f"ended with {describe_exit(await self.wait())} before it was ready")
            if not ready.done():
                raise self._error(f"was not ready within {self._command.start_timeout:g} s")
            await ready
        finally:
            ready.cancel()

    async def wait(self) -> int:
        """Wait until nothing of it is left, and return its exit code."""
        return await asyncio.shield(self._ended)

    async def stop(self, *, grace: float | None = None) -> int:
        """Ask it to end, kill what is left after `grace` seconds, and return its exit code."""
        limit = self._command.grace if grace is None else grace
        if limit > 0:
            if not self._asked_to_stop:
                self._asked_to_stop = True
                self._send(self._command.stop_signal)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if limit == math.inf else limit):
                    return await self.wait()
            logger.warning("%s did not end within %g s: killed.", self._command.name, limit)
        self._send(signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_REAPER_TIMEOUT):
                return await self.wait()
        self._reaper.kill()
        return await self.wait()

    def _send(self, number: signal.Signals) -> None:
        if not self._channel.is_closing():
            self._channel.write(bytes([number]))

    async def _follow(self, reader: asyncio.StreamReader) -> int:
        pump = asyncio.create_task(self._pump())
        gone = asyncio.create_task(self._reaper.wait())
        try:
            told = await _line_of(reader)
            code = int(told[1]) if told else self._kill_without_reaper()
            await asyncio.wait({pump, gone}, timeout=_LAST_OUTPUT)
        finally:
            pump.cancel()
            gone.cancel()
            self._channel.close()
        return code

    async def _pump(self) -> None:
        stream = self._reaper.stdout
        while stream is not None and (data := await stream.read(_CHUNK)):
            self._output.feed(data)
        self._output.close()

    def _kill_without_reaper(self) -> int:
        # The kernel ended the program together with its reaper; its own children are in its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL

    def _error(self, what: str) -> ProcessError:
        lines = "".join(f"\n  {line}" for line in self.tail())
        return ProcessError(f"{self._command.name} {what}." + (f" Its last lines:{lines}" if lines else ""))


async def _start_reaper(command: Command, channel: socket.socket) -> ReaperProcess:
    environ = {**os.environ, **command.env}  # noqa: TID251 - handed on to the child, no setting is read
    if command.path:
        environ["PATH"] = os.pathsep.join([*map(str, command.path), environ.get("PATH") or os.defpath])
    shared = command.inherit_output
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-IS",
            str(_REAPER),
            str(os.getpid()),
            str(channel.fileno()),
            "group" if command.signal_group else "child",
            ",".join(map(str, command.inherited_fds)),
            *command.argv,
            env={name: value for name, value in environ.items() if value is not None},
            cwd=command.cwd,
            stdin=None if shared else DEVNULL,
            stdout=None if shared else PIPE,
            stderr=None if shared else STDOUT,
            pass_fds=(channel.fileno(), *command.inherited_fds),
            start_new_session=True,
        )
    except OSError as exc:
        raise ProcessError(f"Cannot start {command.name} in {command.cwd or Path.cwd()}: {exc}.") from exc


async def _abandoned(starting: asyncio.Task[ReaperProcess]) -> None:
    """Wait for the end of a reaper whose channel is closed: that ends it, and what it started."""
    with suppress(ProcessError):
        await (await starting).wait()


async def _started(command: Command, reader: asyncio.StreamReader) -> int:
    match await _line_of(reader):
        case ["started", pid]:
            return int(pid)
        case ["failed", number]:
            reason = os.strerror(int(number))
        case _:
            reason = "its reaper was killed"
    raise ProcessError(
        f"Cannot start {command.name}: {command.argv[0]!r}: {reason}. "
        "Write the path of a program that this machine has, or install it."
    )


async def _line_of(reader: asyncio.StreamReader) -> list[str]:
    """The words of the reaper's next line; none when it was killed."""
    try:
        return (await reader.readline()).decode("ascii").split()
    except ConnectionResetError:
        return []
