"""What to run as a child process, and what counts as started and as stopped."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chutes.processes.ready import ReadyCheck

__all__ = ["Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run, as a frozen value.

    Attributes:
        argv: the program and its arguments; the program is looked up in `PATH`.
        name: what to call it in log lines and errors.
        env: variables on top of this process's own; None takes a variable away.
        path: folders in which programs are looked up before those of `PATH`.
        cwd: its working directory, by default this process's own.
        ready: when it counts as started; None: as soon as it runs.
        start_timeout: seconds until `wait_ready` gives up.
        stop_signal: what asks it to end.
        signal_group: ask its whole process group, as a terminal's Ctrl-C does; False asks the program alone,
            which then ends its own workers.
        grace: seconds from the stop signal to the kill; `math.inf` waits for ever.
        inherited_fds: descriptors that it gets under their own numbers.
        inherit_output: it writes to this process's standard output and error (and reads its input) directly;
            there are no lines to read back then.
    """

    argv: Sequence[str]
    name: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    path: Sequence[Path] = ()
    cwd: Path | None = None
    ready: ReadyCheck | None = None
    start_timeout: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    signal_group: bool = True
    grace: float = 10.0
    inherited_fds: Sequence[int] = ()
    inherit_output: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.argv, str) or not self.argv:
            raise ValueError(
                f"Invalid argv {self.argv!r}. Write one string per argument: ('python', 'server.py')."
            )
        if self.start_timeout <= 0 or self.grace < 0:
            raise ValueError(
                f"Invalid times of {self.name!r}: start_timeout={self.start_timeout}, grace={self.grace}. "
                "Write seconds: start_timeout above 0, grace from 0."
            )
        object.__setattr__(self, "argv", tuple(self.argv))
        object.__setattr__(self, "inherited_fds", tuple(self.inherited_fds))
