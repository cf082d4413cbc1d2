"""The two sides of a child process that callers see: what starts it, and the one that runs."""

from collections.abc import Callable
from typing import Protocol

from chutes.processes.command import Command

__all__ = ["Launcher", "OnLine", "Process", "describe_exit"]

OnLine = Callable[[str], None]


class Process(Protocol):
    """A child process that was started, and everything that it started in turn."""

    @property
    def exit_code(self) -> int | None:
        """The program's exit status, -N when signal N ended it, None while it runs."""
        ...

    def tail(self, lines: int = 20) -> tuple[str, ...]:
        """The last lines of its output, the newest last."""
        ...

    async def wait_ready(self) -> None:
        """Wait until its ready check is fulfilled.

        Raises:
            ProcessError: it ended first, or its `start_timeout` has passed (it runs on then). The text ends
                with its last lines.
        """
        ...

    async def wait(self) -> int:
        """Wait until nothing of it is left, and return its exit code."""
        ...

    async def stop(self, *, grace: float | None = None) -> int:
        """Ask it to end, kill what is left after `grace` seconds, and return its exit code.

        A second call asks no second time; with `grace=0` it kills at once, also while another call waits.

        Args:
            grace: seconds in place of the command's own; `math.inf` waits for ever.
        """
        ...


class Launcher(Protocol):
    """Starts child processes."""

    async def launch(self, command: Command, on_line: OnLine | None = None) -> Process:
        """Start `command` and return as soon as it runs.

        Args:
            command: what to run.
            on_line: called with each line of its output and error output, in the order in which they were
                written; by default the lines go to the logger `chutes.processes` under the command's name.

        Raises:
            ProcessError: there is no such program or folder, or it may not be run.
        """
        ...


def describe_exit(code: int) -> str:
    """`exit code 1`, or `signal 9` for a program that a signal ended."""
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
