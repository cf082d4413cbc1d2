"""The program that runs containers: podman or docker, by its own command line."""

import contextlib
import os
import queue
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from chutes.errors import DeployError

__all__ = ["TOOLS", "CommandLineRunner", "Finished", "Runner", "find_runner"]

TOOLS = ("podman", "docker")
NONE: Mapping[str, str] = MappingProxyType({})


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

    def run(
        self,
        words: Sequence[str],
        *,
        given: str | None = None,
        variables: Mapping[str, str] = NONE,
        shown: bool = False,
    ) -> Finished:
        """Run a command to its end; a failure is in what comes back.

        Args:
            words: the command, without the tool's name.
            given: what it reads on its standard input.
            variables: what its environment has beside ours.
            shown: tell the user of it.
        """

    def lines(self, commands: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
        """What several commands write, line by line as it comes, each with the number of its command from 0.

        The commands end when the iterator is closed.
        """


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

    def run(
        self,
        words: Sequence[str],
        *,
        given: str | None = None,
        variables: Mapping[str, str] = NONE,
        shown: bool = False,
    ) -> Finished:
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
                env={**os.environ, **variables} if variables else None,  # noqa: TID251 - handed on, no setting is read
                start_new_session=True,
            )
        except OSError as exc:
            raise DeployError(f"Cannot run '{self.program}': {exc.strerror}.") from exc
        return Finished(done.returncode, done.stdout.strip(), done.stderr.strip())

    def lines(self, commands: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
        """What the commands write on both their outputs, as it comes.

        Raises:
            DeployError: the program cannot be started.
        """
        coming: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        with contextlib.ExitStack() as around:
            for number, words in enumerate(commands):
                process = self._started(words)
                around.enter_context(process)
                around.callback(process.terminate)
                pump = threading.Thread(target=_pump, args=(process, number, coming), daemon=True)
                pump.start()
            left = len(commands)
            while left:
                entry = coming.get()
                if entry is None:
                    left -= 1
                else:
                    yield entry

    def _started(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        try:
            return subprocess.Popen(  # noqa: S603 - no shell
                [self.program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as exc:
            raise DeployError(f"Cannot run '{self.program}': {exc.strerror}.") from exc


def _pump(
    process: "subprocess.Popen[str]", number: int, coming: "queue.SimpleQueue[tuple[int, str] | None]"
) -> None:
    try:
        for line in process.stdout or ():
            coming.put((number, line.rstrip("\r\n")))
    finally:
        coming.put(None)


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
