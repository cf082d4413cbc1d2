"""Keep one child process running: start it again after it ended, later each time that it fails."""

import asyncio
import logging
import random
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from chutes.errors import ProcessError
from chutes.processes.command import Command
from chutes.processes.local import LocalLauncher
from chutes.processes.process import Launcher, OnLine, Process, describe_exit

__all__ = ["RestartPolicy", "State", "Status", "Supervisor"]

logger = logging.getLogger("chutes.processes")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How long to wait before the next start.

    Attributes:
        first_delay: seconds after the first failure; each further one in a row doubles it.
        longest_delay: the cap of that, in seconds.
        jitter: the share of a delay that is random, 0 to 1, so that many chutes do not start in step.
        healthy_after: seconds of readiness after which earlier failures are forgotten.
        give_up_after: failures in a row after which it is not started again; None: never.
        give_up_before_ready: likewise, while it was never ready: a wrong argument does not heal. None: never.
    """

    first_delay: float = 0.5
    longest_delay: float = 60.0
    jitter: float = 0.2
    healthy_after: float = 60.0
    give_up_after: int | None = None
    give_up_before_ready: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.first_delay <= self.longest_delay or not 0 <= self.jitter <= 1:
            raise ValueError(
                f"Invalid {self!r}. Write 0 < first_delay <= longest_delay and 0 <= jitter <= 1."
            )

    def gives_up(self, failures: int, *, was_ready: bool) -> bool:
        """Whether so many failures in a row are enough."""
        limits = (self.give_up_after, None if was_ready else self.give_up_before_ready)
        return any(limit is not None and failures >= limit for limit in limits)

    def delay(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row, from 1."""
        # Bounded, since a float cannot hold two to the power of some thousand failures.
        doublings = min(failures - 1, 64)
        full = min(self.longest_delay, self.first_delay * 2.0**doublings)
        return full * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, guards nothing


class State(StrEnum):
    """Where a supervised process stands."""

    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A supervised process at one moment.

    Attributes:
        state: where it stands.
        failures: how often in a row it ended or did not get ready.
        next_start: when it is started again, in the event loop's time; only while backing off.
        error: why it last failed, with its last lines.
    """

    state: State
    failures: int = 0
    next_start: float | None = None
    error: str | None = None


class Supervisor:
    """One command, kept running from `start` to `stop`; also an `async with` block.

    A process that ends is a failure whatever its exit code: it was meant to stay.
    """

    def __init__(
        self,
        command: Command,
        *,
        policy: RestartPolicy | None = None,
        launcher: Launcher | None = None,
        on_line: OnLine | None = None,
    ) -> None:
        self._command = command
        self._policy = policy or RestartPolicy()
        self._launcher = launcher or LocalLauncher()
        self._on_line = on_line
        self._status = Status(state=State.STOPPED)
        self._changed = asyncio.Event()
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def status(self) -> Status:
        """Where the process stands now."""
        return self._status

    @property
    def process(self) -> Process | None:
        """The process that runs or ran last; to stop it is to have it started again."""
        return self._process

    def retry_after(self) -> float:
        """Seconds after which it is worth to ask again: until the next start, and at least 1."""
        if self._status.next_start is None:
            return 1.0
        return max(1.0, self._status.next_start - asyncio.get_running_loop().time())

    def start(self) -> None:
        """Begin, without waiting for readiness."""
        if self._task is None or self._task.done():
            self._set(Status(state=State.STARTING))
            self._task = asyncio.create_task(self._run())

    async def wait_ready(self) -> None:
        """Wait until the process is ready, over as many restarts as that takes.

        Raises:
            ProcessError: it was given up, or stopped.
        """
        while self._status.state is not State.READY:
            if self._status.state in {State.FAILED, State.STOPPED}:
                raise ProcessError(self._status.error or f"{self._command.name} is {self._status.state}.")
            await self._changed.wait()

    async def changed(self) -> Status:
        """Wait until the status changes, and return it; changes in quick succession count as one."""
        await self._changed.wait()
        return self._status

    async def stop(self) -> None:
        """End the process, with the command's grace, and start it no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if self._process is not None and self._process.exit_code is None:
            await self._process.stop()
        self._set(Status(state=State.STOPPED))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        was_ready = False
        while True:
            ready_at, error = await self._run_once(failures)
            was_ready = was_ready or ready_at is not None
            healthy = ready_at is not None and loop.time() - ready_at >= self._policy.healthy_after
            failures = 1 if healthy else failures + 1
            if self._policy.gives_up(failures, was_ready=was_ready):
                # Who waits for readiness gets the last lines too.
                why = error if was_ready else error.partition(" Its last lines:")[0]
                logger.error("%s Given up; failures in a row: %d.", why, failures)
                self._set(Status(state=State.FAILED, failures=failures, error=error))
                return
            delay = self._policy.delay(failures)
            logger.warning("%s Next start in %.1f s.", error, delay)
            next_start = loop.time() + delay
            self._set(Status(state=State.BACKING_OFF, failures=failures, next_start=next_start, error=error))
            await asyncio.sleep(delay)

    async def _run_once(self, failures: int) -> tuple[float | None, str]:
        """One life of the process: when it got ready, if ever, and why it ended."""
        self._set(Status(state=State.STARTING, failures=failures, error=self._status.error))
        try:
            self._process = await self._launcher.launch(self._command, self._on_line)
            await self._process.wait_ready()
        except ProcessError as exc:
            if self._process is not None and self._process.exit_code is None:
                await self._process.stop()
            return None, str(exc)
        ready_at = asyncio.get_running_loop().time()
        self._set(Status(state=State.READY, failures=failures))
        code = await self._process.wait()
        return ready_at, f"{self._command.name} ended with {describe_exit(code)}."

    def _set(self, status: Status) -> None:
        self._status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
