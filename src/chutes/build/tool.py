"""The program that builds images: podman, docker or buildah, by its own command line."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chutes.build.containerfile import DIGEST_LABEL
from chutes.errors import BuildError
from chutes.suggestions import did_you_mean

__all__ = ["TOOLS", "BuildOrder", "CommandLineTool", "ContainerTool", "find_tool"]

TOOLS = ("podman", "docker", "buildah")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """One build.

    Attributes:
        context: the folder with the Dockerfile.
        references: what the image is called.
        digest: names what is built; the image carries it as a label.
        platform: such as `linux/arm64`; None: this machine's.
        secrets: files that a step may mount while it runs, as `id=NAME,src=FILE`.
        use_cache: take steps that were built before.
        arguments: more options for the tool, as it knows them.
    """

    context: Path
    references: Sequence[str]
    digest: str
    platform: str | None = None
    secrets: Sequence[str] = ()
    use_cache: bool = True
    arguments: Sequence[str] = ()


class ContainerTool(Protocol):
    """What builds images and sends them elsewhere."""

    def digest_of(self, reference: str) -> str | None:
        """The digest that an image here carries; None without the image or the label."""

    def build(self, order: BuildOrder) -> None:
        """Build an image; what the tool prints goes to the terminal. Raises BuildError."""

    def push(self, reference: str, arguments: Sequence[str] = ()) -> None:
        """Send an image to the registry that its reference names. Raises BuildError."""

    def save(self, reference: str, file: Path) -> None:
        """Write an image to a file that `podman load` and `docker load` read. Raises BuildError."""


@dataclass(frozen=True, slots=True)
class CommandLineTool:
    """A tool that is found on the path.

    Attributes:
        name: podman, docker or buildah.
        program: its file.
        show: gets each command before it runs.
    """

    name: str
    program: str
    show: Callable[[str], None] = field(default=lambda _command: None)

    def digest_of(self, reference: str) -> str | None:
        """Ask for the label of the image."""
        form = f'{{{{index .Config.Labels "{DIGEST_LABEL}"}}}}'
        command = ["image", "inspect", "--format", form, reference]
        if self.name == "buildah":
            form = f'{{{{index .Docker.config.Labels "{DIGEST_LABEL}"}}}}'
            command = ["inspect", "--type", "image", "--format", form, reference]
        asked = subprocess.run([self.program, *command], capture_output=True, text=True, check=False)  # noqa: S603
        found = asked.stdout.strip()
        return found if asked.returncode == 0 and found and found != "<no value>" else None

    def build(self, order: BuildOrder) -> None:
        """Build an image.

        Raises:
            BuildError: the tool ended with a failure, and has said why.
        """
        # The format of OCI has no health check; docker builds its own, and knows no such option.
        options = [] if self.name == "docker" else ["--format", "docker"]
        for reference in order.references:
            options += ["--tag", reference]
        options += ["--label", f"{DIGEST_LABEL}={order.digest}"]
        if order.platform:
            options += ["--platform", order.platform]
        for secret in order.secrets:
            options += ["--secret", secret]
        options += [] if order.use_cache else ["--no-cache"]
        self._run("build", [*options, *order.arguments, str(order.context)])

    def push(self, reference: str, arguments: Sequence[str] = ()) -> None:
        """Send an image.

        Raises:
            BuildError: the tool ended with a failure, and has said why.
        """
        self._run("push", [*arguments, reference])

    def save(self, reference: str, file: Path) -> None:
        """Write an image to a file.

        Raises:
            BuildError: the tool ended with a failure, and has said why.
        """
        if self.name == "buildah":
            self._run("push", [reference, f"docker-archive:{file}:{reference}"])
        else:
            self._run("save", ["--output", str(file), reference])

    def _run(self, verb: str, arguments: Sequence[str]) -> None:
        command = [self.program, verb, *arguments]
        self.show(shlex.join([self.name, verb, *arguments]))
        try:
            code = subprocess.run(command, stdout=sys.stderr, check=False).returncode  # noqa: S603 - no shell
        except OSError as exc:
            raise BuildError(f"Cannot run '{self.program}': {exc.strerror}.") from exc
        if code:
            raise BuildError(f"{self.name} {verb} ended with exit code {code}; its last lines are above.")


def find_tool(wanted: str | None, show: Callable[[str], None], *, path: str | None = None) -> CommandLineTool:
    """The tool of this name or file, else the first that is installed of podman, docker and buildah.

    Args:
        wanted: what `--tool` or `CHUTES_CONTAINER_TOOL` says.
        show: gets each command before it runs.
        path: folders to look in, by default those of `PATH`.

    Raises:
        BuildError: it is not installed, or none is, or it is none of the three.
    """
    if wanted:
        name = Path(wanted).name
        if name not in TOOLS:
            raise BuildError(
                f"Unknown container tool {wanted!r}.{did_you_mean(name, TOOLS)} It is one of {', '.join(TOOLS)}."
            )
        program = shutil.which(wanted, path=path)
        if program is None:
            raise BuildError(f"There is no program {wanted!r} here. Install {name}, or leave out --tool.")
        return CommandLineTool(name, program, show)
    for name in TOOLS:
        program = shutil.which(name, path=path)
        if program is not None:
            return CommandLineTool(name, program, show)
    raise BuildError(
        "Neither podman nor docker nor buildah is installed here. Install one, for example: apt install podman. "
        "Or let another machine build: --context DIR writes all that it needs into a folder."
    )
