"""Start the engine of a chute, keep it running, and say where it is."""

import asyncio
import logging
import secrets
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, TracebackType
from typing import Self

from chutes.chute.engine import EngineSpec
from chutes.engines.advice import advice
from chutes.engines.lines import EngineLines
from chutes.engines.port import LOOPBACK, ReservedPort
from chutes.engines.preparation import Preparation, Prepared
from chutes.errors import EngineError, ProcessError
from chutes.processes import (
    Command,
    HttpAnswers,
    Launcher,
    LocalLauncher,
    OnLine,
    Process,
    RestartPolicy,
    State,
    Supervisor,
)
from chutes.settings import VARIABLES

__all__ = ["EngineRunner", "EngineStatus", "HealthPolicy"]

logger = logging.getLogger("chutes.engine")

_PROGRESS_SECONDS = 5.0
# An engine that says nothing new is mentioned in every third tick alone.
_SILENT_TICKS = 3
# Until a first start was measured.
_USUAL_START = 10.0
_STOP_GRACE = 10.0
_HANGING_GRACE = 2.0
_ONE_START = RestartPolicy(longest_delay=30.0, give_up_before_ready=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """When an engine that still runs counts as broken, and is started again.

    Attributes:
        interval: seconds between two checks.
        timeout: seconds that an answer may take; an engine under load is slow.
        failures: so many checks in a row without a 200.
    """

    interval: float = 5.0
    timeout: float = 10.0
    failures: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """An engine at one moment, for `/health` and the metrics.

    Attributes:
        engine: its name; empty until it was picked.
        version: what is installed of it, such as `vllm 0.33.0`.
        model: the model's name.
        state: `preparing` (picking, downloading), `starting`, `ready`, `backing off`, `stopped` or `failed`.
        restarts: how often it was started again.
        seconds_to_ready: how long its last start took; None before the first.
        error: why it last failed; None when it never did.
    """

    engine: str
    version: str
    model: str
    state: str
    restarts: int = 0
    seconds_to_ready: float | None = None
    error: str | None = None


class EngineRunner:
    """A model server beside the chute, from `start` to `stop`; also an `async with` block, ready inside.

    It listens on a port of 127.0.0.1 that it keeps over restarts, behind a random key. It is gone when this process is,
    however that ended. A start that fails before the engine was ever ready is final: a wrong argument does not heal. An
    engine that was ready once is started again, for ever.

    Attributes:
        served_name: what callers write as `model`.
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        concurrency: int = 8,
        preparation: Preparation | None = None,
        launcher: Launcher | None = None,
        restarts: RestartPolicy = _ONE_START,
        health: HealthPolicy | None = None,
    ) -> None:
        """Make one that is not started.

        Args:
            spec: which model, and how.
            concurrency: requests that the engine works on at once.
            preparation: finds out what the machine has; None: this machine.
            launcher: starts processes; None: on this machine.
            restarts: how long to wait before the engine is started again.
            health: when a running engine counts as broken.
        """
        self.served_name = spec.served_name
        self._spec = spec
        self._concurrency = concurrency
        self._preparation = preparation or Preparation.of_this_machine()
        self._launches = _Launches(launcher or LocalLauncher())
        self._restarts = restarts
        self._health = health or HealthPolicy()
        self._key = secrets.token_urlsafe(32)
        self._lines = EngineLines(spec.engine)
        self._prepared: Prepared | None = None
        self._preparing = False
        self._port: ReservedPort | None = None
        self._supervisor: Supervisor | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._seconds_to_ready: float | None = None
        self._ready_launch = 0
        self._folder: TemporaryDirectory[str] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.wait_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def name(self) -> str:
        """What errors and logs call it: the engine's name once it was picked."""
        return self._prepared.engine.title if self._prepared else "engine"

    @property
    def url(self) -> str:
        """Its scheme, host and port; the same over restarts.

        Raises:
            EngineError: it was not started.
        """
        if self._port is None:
            raise EngineError(
                f"The engine of {self._spec.model_name!r} is not started, so it has no address yet."
            )
        return f"http://{LOOPBACK}:{self._port.number}"

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request to it needs: its key."""
        return MappingProxyType({"authorization": f"Bearer {self._key}"})

    @property
    def prepared(self) -> Prepared | None:
        """The engine, the model and the machine; None until `start` has found them out."""
        return self._prepared

    @property
    def status(self) -> EngineStatus:
        """Where it stands now."""
        engine = self._prepared.engine if self._prepared else None
        return EngineStatus(
            engine=engine.name if engine else "",
            version=(engine.version(self._prepared.installed) or "") if engine and self._prepared else "",
            model=self._spec.model_name,
            state=self._state(),
            restarts=max(0, self._launches.count - 1),
            seconds_to_ready=self._seconds_to_ready,
            error=self._supervisor.status.error if self._supervisor else None,
        )

    def retry_after(self) -> float | None:
        """Seconds after which it is worth to ask again, from how long its last start took; None while it is ready."""
        if self._supervisor is None:
            return _USUAL_START
        state = self._supervisor.status.state
        if state is State.READY:
            return None
        usual = self._seconds_to_ready or _USUAL_START
        if state is State.BACKING_OFF:
            return self._supervisor.retry_after() + usual
        return max(1.0, usual - self._launches.seconds())

    async def start(self) -> None:
        """Pick an engine, fetch the model, and start the one with the other; does not wait until it is ready.

        Raises:
            EngineError: no engine fits; the text says what to install.
            ModelError: the model is not there and cannot be fetched.
        """
        if self._supervisor is not None or self._preparing:
            return
        given_up = threading.Event()
        self._preparing = True
        try:
            self._prepared = await asyncio.to_thread(self._preparation.run, self._spec, given_up)
        finally:
            given_up.set()
            self._preparing = False
        self._say_what_was_picked(self._prepared)
        self._port = ReservedPort()
        self._lines = EngineLines(self._prepared.engine.name)
        command = self._command(self._prepared, self._port.number)
        self._lines.least = logging.CRITICAL
        self._supervisor = Supervisor(
            command, policy=self._restarts, launcher=self._launches, on_line=self._lines.take
        )
        self._supervisor.start()
        self._tasks = [
            asyncio.create_task(self._tell_progress(self._supervisor, self._prepared)),
            asyncio.create_task(self._watch_health(self._supervisor, self._prepared, self._port.number)),
        ]

    async def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            EngineError: it was not started, its first start failed, or it was stopped; with its last lines.
        """
        if self._supervisor is None:
            raise EngineError(f"The engine of {self._spec.model_name!r} is not started.")
        try:
            await self._supervisor.wait_ready()
        except ProcessError as exc:
            raise EngineError(self._why(exc)) from None
        self._note_ready()

    async def stop(self) -> None:
        """End it, with everything that it started."""
        self._lines.least = logging.CRITICAL
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            await supervisor.stop()
        if self._port is not None:
            self._port.release()
            self._port = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _why(self, error: ProcessError) -> str:
        """Why it is not ready, without the frames of its tracebacks, and what to do."""
        what = str(error).partition(" Its last lines:")[0]
        lines = [f"  {line}" for line in self._lines.telling]
        if lines:
            what += " Its last lines:"
        return "\n".join(filter(None, (what, *lines, advice(self._lines.recent))))

    def _state(self) -> str:
        if self._supervisor is not None:
            return self._supervisor.status.state.value
        return "preparing" if self._preparing else State.STOPPED.value

    def _command(self, prepared: Prepared, port: int) -> Command:
        engine = prepared.engine
        launch = prepared.launch(port=port, key=self._key, concurrency=self._concurrency)
        if engine.lay_out is not None:
            self._folder = TemporaryDirectory(prefix="chutes-engine-")
            engine.lay_out(launch, Path(self._folder.name))
        return Command(
            argv=engine.argv(launch),
            name=engine.title,
            env={**_variables(launch.python), **engine.environment(launch)},
            cwd=Path(self._folder.name) if self._folder else None,
            # Engines call programs that were installed beside them, ninja for one.
            path=(Path(launch.python).parent,),
            ready=HttpAnswers(port=port, path=engine.health_path),
            start_timeout=engine.start_timeout,
            grace=_STOP_GRACE,
        )

    def _say_what_was_picked(self, prepared: Prepared) -> None:
        logger.info("%s", prepared.pick.reason)
        if prepared.left_out:
            logger.warning(
                "%s has no word for these arguments, so they are left out: %s.",
                prepared.engine.title,
                ", ".join(prepared.left_out),
            )

    async def _tell_progress(self, supervisor: Supervisor, prepared: Prepared) -> None:
        said, silent = "", 0
        while True:
            state = supervisor.status.state
            starts = state is State.STARTING
            if state is State.READY:
                self._note_ready()
            self._lines.least = logging.CRITICAL if starts else logging.WARNING
            with suppress(TimeoutError):
                async with asyncio.timeout(_PROGRESS_SECONDS if starts else None):
                    await supervisor.changed()
                said, silent = "", 0
                continue
            gist = self._lines.gist
            silent = 0 if gist != said else silent + 1
            if silent % _SILENT_TICKS == 0:
                said = gist
                logger.info(
                    "%s starts (%.0f s): %s",
                    prepared.engine.title,
                    self._launches.seconds(),
                    gist or "it has said nothing yet",
                )

    def _note_ready(self) -> None:
        if self._ready_launch == self._launches.count:
            return
        self._ready_launch = self._launches.count
        self._seconds_to_ready = self._launches.seconds()
        logger.info("%s is ready after %.1f s.", self.name, self._seconds_to_ready)

    async def _watch_health(self, supervisor: Supervisor, prepared: Prepared, port: int) -> None:
        check = HttpAnswers(port=port, path=prepared.engine.health_path)
        failed = 0
        while True:
            await asyncio.sleep(self._health.interval)
            process = supervisor.process
            if supervisor.status.state is not State.READY or process is None:
                failed = 0
                continue
            failed = 0 if await check.answers(self._health.timeout) else failed + 1
            if failed >= self._health.failures and supervisor.process is process:
                failed = 0
                logger.error("%s runs but did not answer %d checks of its health: it is started again.",
                             prepared.engine.title, self._health.failures)  # fmt: skip
                await process.stop(grace=_HANGING_GRACE)


def _variables(python: str) -> dict[str, str | None]:
    # The chute's own keys and database are none of the engine's business.
    variables: dict[str, str | None] = dict.fromkeys(VARIABLES)
    # A chute file may well be called vllm.py: the engine must not import what lies in the folder of the chute.
    variables |= {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    if python != sys.executable:
        variables |= dict.fromkeys(("PYTHONPATH", "PYTHONHOME"))
    return variables


class _Launches:
    """A launcher that counts, and knows when the newest process was started."""

    def __init__(self, launcher: Launcher) -> None:
        self.count = 0
        self._launcher = launcher
        self._began = 0.0

    def seconds(self) -> float:
        """Since the newest start."""
        return asyncio.get_running_loop().time() - self._began

    async def launch(self, command: Command, on_line: OnLine | None = None) -> Process:
        """Start it."""
        self.count += 1
        self._began = asyncio.get_running_loop().time()
        return await self._launcher.launch(command, on_line)
