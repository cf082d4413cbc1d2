"""Notice that code blocks the event loop, from a thread: say which code, count it, and let `/livez` know."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from chutes.serve.exchange import Exchange
from chutes.serve.lifecycle import Lifecycle, State
from chutes.serve.logs import current_request_id
from chutes.serve.metrics import LoopMeter
from chutes.tracebacks import format_user_stack

__all__ = ["Watchdog", "time_awake"]

_BEAT_SECONDS = 0.1
_LOOK_SECONDS = 0.1
_OVERSLEPT_SECONDS = 0.5
_STALL_SECONDS = 1.0
# The loop catches up on one beat at once, and may get to the next before anybody looks.
_FEW_BEATS = 2
_LAST_WORDS_SECONDS = 1.0
_DEBUGGERS = frozenset({"_pydevd_bundle", "bdb", "debugpy", "pdb", "pydevd"})


class Watchdog:
    """The loop beats ten times a second; a thread looks as often, and adds up the time without a beat.

    Only what the thread itself was awake for counts: while a debugger, a hypervisor or the user has stopped the whole
    process nothing was blocked. While the chute starts, its hooks may block the loop: that is an info line, and neither
    counted nor held against `/livez`. While it stops, nothing is said.

    Args:
        lifecycle: the chute's.
        meter: where stalls are counted.
    """

    def __init__(self, lifecycle: Lifecycle, meter: LoopMeter) -> None:
        self._lifecycle = lifecycle
        self._meter = meter
        self._logger = logging.getLogger("chutes.serve")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._thread: threading.Thread | None = None
        self._saying: threading.Thread | None = None
        self._leave = threading.Event()
        self._beats = 0
        self._seen: tuple[int, State | None] = (0, None)
        self._blocked = 0.0
        self._former = 0.0
        self._request_id: str | None = None
        self._told = False

    @property
    def blocked_seconds(self) -> float:
        """For how long the loop has been blocked; a block that just ended counts until the next beat has come.

        So a probe that waited behind the block learns of it.
        """
        return max(self._blocked, self._former) if self._lifecycle.accepts else 0.0

    def start(self) -> None:
        """Begin, on the loop that is watched. It ends with `stop`."""
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        self._leave.clear()
        self.beat()
        self._thread = threading.Thread(target=self._run, name="chutes-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, from any thread; harmless when it never began."""
        thread, self._thread, self._loop = self._thread, None, None
        self._leave.set()
        if thread is not None:
            thread.join()
        if self._saying is not None:
            self._saying.join(_LAST_WORDS_SECONDS)

    def beat(self) -> None:
        """One beat of the loop, and the order for the next."""
        self._beats += 1
        if self._loop is not None:
            self._loop.call_later(_BEAT_SECONDS, self.beat)

    def look(self, seconds: float) -> None:
        """One look at the loop, `seconds` of which the thread was awake after the last."""
        seen, former = (self._beats, self._phase()), self._seen
        if seen != former:
            self._seen = seen
            # What blocked the start does not go on as a stall of the chute that it made ready.
            same_phase = seen[1] is former[1]
            if same_phase and seconds >= _STALL_SECONDS and seen[0] - former[0] <= _FEW_BEATS:
                self._on_unseen(seconds)
            self._on_beat(same_phase=same_phase)
            return
        self._blocked += seconds
        if self._told:
            self._count(seconds)
        elif self._blocked >= _STALL_SECONDS:
            self._on_stall()

    def _run(self) -> None:
        before, cpu_before = time.monotonic(), time.process_time()
        while not self._leave.wait(_LOOK_SECONDS):
            now, cpu = time.monotonic(), time.process_time()
            self.look(time_awake(now - before, cpu - cpu_before))
            before, cpu_before = now, cpu

    def _on_unseen(self, seconds: float) -> None:
        """A stall that was over when this thread ran again: the two were waiting for the same."""
        self._blocked += seconds
        if not self._lifecycle.accepts:
            return
        self._count(seconds)
        if not self._told:
            self._meter.stalls += 1
            self._request_id = None
            self._say(
                logging.WARNING,
                f"The event loop was blocked for {seconds:.1f} s by code that kept Python's lock, as a C extension can: all "
                "threads stood still, so nobody saw which.",
            )

    def _on_beat(self, *, same_phase: bool) -> None:
        if self._told:
            self._say(logging.INFO, f"The event loop runs again: it was blocked for {self._blocked:.1f} s.")
        self._former = self._blocked if same_phase else 0.0
        self._blocked, self._told = 0.0, False

    def _on_stall(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the only way to another thread's stack
        phase = self._phase()
        if frame is None or phase is None or _is_debugged(frame):
            self._blocked = 0.0
            return
        self._told, self._request_id = True, _request_id(frame)
        stack = format_user_stack(frame)
        if phase is State.STARTING:
            self._say(
                logging.INFO,
                f"The chute starts, and blocks its event loop; the probes are answered.\n{stack}",
            )
            return
        self._meter.stalls += 1
        self._count(self._blocked)
        self._say(
            logging.WARNING,
            f"The event loop has been blocked for {self._blocked:.1f} s, and answers nobody. Code that waits or computes "
            f"belongs into a plain `def`, which runs in a thread.\n{stack}",
        )

    def _phase(self) -> State | None:
        """Whether the chute serves or starts; None otherwise."""
        if self._lifecycle.accepts:
            return State.READY
        return State.STARTING if self._lifecycle.state is State.STARTING else None

    def _count(self, seconds: float) -> None:
        if self._lifecycle.accepts:
            self._meter.stall_seconds += seconds

    def _say(self, level: int, text: str) -> None:
        # In a thread of its own: what blocks the loop may be a log that nobody reads, and would block this one too.
        former, request_id = self._saying, self._request_id

        def say() -> None:
            if former is not None:
                former.join()
            current_request_id.set(request_id)
            self._logger.log(level, "%s", text)

        self._saying = threading.Thread(target=say, name="chutes-watchdog-log", daemon=True)
        self._saying.start()


def time_awake(seconds: float, cpu_seconds: float) -> float:
    """How much of the time between two looks the process was running for.

    A look that comes late by much means that all of the process stood still, unless it computed meanwhile: a library may keep
    the interpreter to itself.
    """
    if seconds < _LOOK_SECONDS + _OVERSLEPT_SECONDS:
        return seconds
    return min(seconds, max(cpu_seconds, _LOOK_SECONDS))


def _request_id(frame: FrameType) -> str | None:
    """The id of the request that is worked on in `frame`, or further out."""
    ours = (one for one in _outwards(frame) if _module(one).startswith("chutes.serve."))
    found = (one.f_locals.get("exchange") for one in ours)
    return next((one.request_id for one in found if isinstance(one, Exchange)), None)


def _is_debugged(frame: FrameType) -> bool:
    """Whether a person in a debugger is what takes so long."""
    return any(_module(one).partition(".")[0] in _DEBUGGERS for one in _outwards(frame))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
