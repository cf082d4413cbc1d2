"""Child processes that exist only in memory, for tests of what starts and stops them."""

import asyncio
import signal

from chutes.errors import ProcessError
from chutes.processes.command import Command
from chutes.processes.output import Output
from chutes.processes.process import OnLine, describe_exit

__all__ = ["FakeLauncher", "FakeProcess"]


class FakeLauncher:
    """A `Launcher` that starts nothing and remembers what it was asked to start.

    Attributes:
        launched: the processes so far, the newest last.
        refusal: when set, `launch` raises a `ProcessError` with this text.
    """

    def __init__(self, *, ready: bool = True) -> None:
        """Make one whose processes are ready at once, or else when the test calls `become_ready`."""
        self.launched: list[FakeProcess] = []
        self.refusal: str | None = None
        self._ready = ready
        self._more = asyncio.Event()

    async def launch(self, command: Command, on_line: OnLine | None = None) -> "FakeProcess":
        """Return a new `FakeProcess`."""
        if self.refusal is not None:
            raise ProcessError(self.refusal)
        process = FakeProcess(command, on_line)
        if self._ready:
            process.become_ready()
        self.launched.append(process)
        self._more.set()
        return process

    async def nth(self, number: int) -> "FakeProcess":
        """Wait for the `number`th launch, from 1, and return its process."""
        while len(self.launched) < number:
            self._more.clear()
            await self._more.wait()
        return self.launched[number - 1]


class FakeProcess:
    """A `Process` that the test drives.

    Attributes:
        command: what it was asked to be.
        stubborn: when true, it ends only by a kill (`stop(grace=0)`, or a grace that ran out).
        stops: the grace of each `stop` so far.
    """

    def __init__(self, command: Command, on_line: OnLine | None = None) -> None:
        self.command = command
        self.stubborn = False
        self.stops: list[float] = []
        self._output = Output(on_line or (lambda _line: None))
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """What `end` was called with, None before."""
        return self._exit_code

    def write(self, line: str) -> None:
        """Let it print a line."""
        self._output.feed(f"{line}\n".encode())

    def become_ready(self) -> None:
        """Let its ready check be fulfilled."""
        self._ready.set()

    def end(self, code: int = 0) -> None:
        """Let it end, with this exit code or -N for signal N."""
        if self._exit_code is None:
            self._exit_code = code
            self._ended.set()

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """The last lines that `write` was called with."""
        return self._output.tail(lines)

    async def wait_ready(self) -> None:
        """Wait for `become_ready`.

        Raises:
            ProcessError: it ended first, or the command's `start_timeout` has passed.
        """
        waits = [asyncio.create_task(event.wait()) for event in (self._ready, self._ended)]
        done, _ = await asyncio.wait(
            waits, timeout=self.command.start_timeout, return_when=asyncio.FIRST_COMPLETED
        )
        for task in waits:
            task.cancel()
        if self._exit_code is not None:
            raise ProcessError(f"{self.command.name} ended with {describe_exit(self._exit_code)}.")
        if not done:
            raise ProcessError(f"{self.command.name} was not ready within {self.command.start_timeout:g} s.")

    async def wait(self) -> int:
        """Wait for `end`, and return its code."""
        await self._ended.wait()
        return self._exit_code or 0

    async def stop(self, *, grace: float | None = None) -> int:
        """End by the command's stop signal; by SIGKILL when it is stubborn, after the grace."""
        limit = self.command.grace if grace is None else grace
        self.stops.append(limit)
        if limit > 0 and not self.stubborn:
            self.end(-self.command.stop_signal)
        elif limit > 0:
            await asyncio.wait({asyncio.create_task(self._ended.wait())}, timeout=limit)
        self.end(-signal.SIGKILL)
        return await self.wait()
