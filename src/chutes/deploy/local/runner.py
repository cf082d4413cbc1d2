"""The program that runs containers: podman or docker, by its own command line."""

import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chutes.errors import DeployError

__all__ = ["TOOLS", "CommandLineRunner", "Finished", "Runner", "find_runner"]

TOOLS = ("podman", "docker")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command said.

    Attributes:
        code: its exit code.
        output: its standard output, without white space around it.
        error: its standard error, likewise.
    """

    code: int
    output: str = ""
    error: str = ""


class Runner(Protocol):
    """Runs commands of a container tool.

    Attributes:
        name: podman or docker.
    """

    @property
    def name(self) -> str:
        """Podman or docker."""

    def run(self, words: Sequence[str], *, given: str | None = None, shown: bool = False) -> Finished:
        """Run a command to its end, with `given` on its standard input; a failure is in what comes back."""

    def lines(self, words: Sequence[str]) -> Iterator[str]:
        """What a command writes, line by line as it comes; the command ends when the iterator is closed."""


@dataclass(frozen=True, slots=True)
class CommandLineRunner:
    """A tool that is found on the path.

    Attributes:
        name: podman or docker.
        program: its file.
        show: gets each command that changes something, before it runs.
    """

    name: str
    program: str
    show: Callable[[str], None] = field(default=lambda _command: None)

    def run(self, words: Sequence[str], *, given: str | None = None, shown: bool = False) -> Finished:
        """Run a command to its end.

        Raises:
            DeployError: the program cannot be started.
        """
        if shown:
            self.show(shlex.join([self.name, *words]))
        # Without its own session a Ctrl-C would end a command that takes things back.
        try:
            done = subprocess.run(  # noqa: S603 - no shell
                [self.program, *words],
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                start_new_session=True,
            )
        except OSError as exc:
            raise DeployError(f"Cannot run '{self.program}': {exc.strerror}.") from exc
        return Finished(done.returncode, done.stdout.strip(), done.stderr.strip())

    def lines(self, words: Sequence[str]) -> Iterator[str]:
        """What a command writes on both its outputs, line by line.

        Raises:
            DeployError: the program cannot be started.
        """
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell
                [self.program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as exc:
            raise DeployError(f"Cannot run '{self.program}': {exc.strerror}.") from exc
        with process:
            try:
                for line in process.stdout or ():
                    yield line.rstrip("\r\n")
            finally:
                process.terminate()


def find_runner(
    wanted: str | None, show: Callable[[str], None], *, path: str | None = None
) -> CommandLineRunner:
    """The tool of this name or file, else the first that is installed of podman and docker.

    Args:
        wanted: what `--tool` or `CHUTES_CONTAINER_TOOL` says.
        show: gets each command that changes something, before it runs.
        path: folders to look in, by default those of `PATH`.

    Raises:
        DeployError: it is not installed, or none is, or it runs no containers.
    """
    if wanted and Path(wanted).name not in TOOLS:
        raise DeployError(f"{wanted!r} runs no containers. Write --tool podman or --tool docker.")
    for name in [wanted] if wanted else TOOLS:
        program = shutil.which(name, path=path)
        if program is not None:
            return CommandLineRunner(Path(name).name, program, show)
    if wanted:
        raise DeployError(f"There is no program {wanted!r} here. Install it, or leave out --tool.")
    raise DeployError(
        "Neither podman nor docker is installed here. Install one, for example: apt install podman."
    )
