"""Containers of this machine: start them, look at them, stop them, read what they wrote."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chutes.deploy.local.commands import MODELS, Order, front_words, instance_words, open_models_words
from chutes.deploy.local.runner import NONE, Finished, Runner
from chutes.deploy.local.state import FrontState, InstanceState
from chutes.deploy.plan import PORT, Plan
from chutes.errors import DeployError

__all__ = ["Container", "Containers"]

_FAILED_LINES = 30
_CDI = (
    "Describe the GPUs of this machine for podman: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container as the tool sees it.

    Attributes:
        name: its name.
        status: such as running, exited, restarting.
        code: its last exit code.
        restarts: how often it was started again.
        out_of_memory: the system ended it.
    """

    name: str
    status: str
    code: int = 0
    restarts: int = 0
    out_of_memory: bool = False

    @property
    def is_running(self) -> bool:
        """Whether its program runs."""
        return self.status == "running"

    @property
    def how_it_ended(self) -> str:
        """Such as "it ended with exit code 1"."""
        if self.out_of_memory:
            return "it took more memory than it may, and was ended"
        if self.code == 0 and self.status != "exited":
            # While it is started again nobody knows the code of before.
            return "it ended"
        return f"it ended with exit code {self.code}"


@dataclass(frozen=True, slots=True)
class Containers:
    """What podman or docker is asked for.

    Attributes:
        runner: runs its commands.
        home: the folder that remembers what is ours.
    """

    runner: Runner
    home: Path

    def start(self, order: Order, instance: InstanceState, values: Mapping[str, str] = NONE) -> None:
        """Start an instance; `values` are those of its secrets that the tool does not keep.

        Raises:
            DeployError: the tool refuses.
        """
        done = self.runner.run(instance_words(order, instance), variables=values, shown=True)
        if done.code:
            hint = f" {_CDI}." if "unresolvable CDI" in done.error else ""
            raise DeployError(f"Cannot start '{instance.name}': {_said(done)}.{hint}")

    def start_front(self, front: FrontState, plan: Plan, folder: Path) -> None:
        """Start a front.

        Raises:
            DeployError: the tool refuses.
        """
        self._must(front_words(front, plan, folder, self.home), f"start '{front.name}'")

    def start_again(self, names: Sequence[str]) -> None:
        """Start those of these containers that were stopped."""
        there = [one.name for one in self.look(names).values() if not one.is_running]
        if there:
            self._must(["start", *there], "start what ran before")

    def stop(self, names: Sequence[str], seconds: int) -> None:
        """Tell those of them that run to stop, and wait; after `seconds` they are ended."""
        running = [one.name for one in self.look(names).values() if one.is_running]
        if running:
            self._must(["stop", "-t", str(seconds), *running], "stop what ran before")

    def remove(self, names: Sequence[str]) -> None:
        """Have them gone, at once and whatever they do; one that is gone already is none that fails."""
        if not names:
            return
        at_once = ["--time", "0"] if self.runner.name == "podman" else []
        done = self.runner.run(["rm", "--force", *at_once, *names], shown=True)
        if done.code and (left := self.look(names)):
            raise DeployError(f"Cannot remove {', '.join(left)}: {_said(done)}.")

    def look(self, names: Sequence[str]) -> dict[str, Container]:
        """Those of these names that exist.

        Raises:
            DeployError: the tool cannot be asked.
        """
        if not names:
            return {}
        done = self.runner.run(["container", "inspect", *names])
        try:
            found = [_container(values) for values in json.loads(done.output or "[]")]
        except (ValueError, KeyError, TypeError) as exc:
            raise DeployError(f"Cannot ask {self.runner.name} what runs: {_said(done)}.") from exc
        if done.code and not found and "no such" not in done.error.lower():
            raise DeployError(f"Cannot ask {self.runner.name} what runs: {_said(done)}.")
        return {one.name: one for one in found}

    def ours(self, slug: str) -> list[str]:
        """The names of all containers of a chute that this home made, known or not."""
        filters = [f"label=chutes.slug={slug}", f"label=chutes.home={self.home}"]
        words = ["ps", "--all", "--format", "{{.Names}}"]
        for text in filters:
            words += ["--filter", text]
        return self._must(words, "list the containers", shown=False).split()

    def network_of(self, image: str, name: str) -> str:
        """Which network the tool gives to a container that publishes a port: "host", where none is published, or "own"."""
        words = ["create", "--name", name, "--publish", f"127.0.0.1::{PORT}", image]
        self._must(words, f"make a container of '{image}'", shown=False)
        try:
            mode = self._must(
                ["container", "inspect", "--format", "{{.HostConfig.NetworkMode}}", name],
                f"look at '{name}'",
                shown=False,
            )
        finally:
            self.runner.run(["rm", "--force", name])
        return "host" if mode == "host" else "own"

    def make_volume(self, name: str) -> bool:
        """Have a volume; returns whether it is new."""
        if self.runner.run(["volume", "inspect", name]).code == 0:
            return False
        self._must(["volume", "create", name], f"make the volume '{name}'")
        return True

    def make_models_volume(self, image: str) -> None:
        """Have the volume that keeps weights."""
        if not self.make_volume(MODELS):
            return
        try:
            self._must(open_models_words(image), f"open the volume '{MODELS}'")
        except DeployError:
            self.runner.run(["volume", "rm", MODELS])
            raise

    def remove_volume(self, name: str) -> None:
        """Have a volume gone, if it is there."""
        if self.runner.run(["volume", "inspect", name]).code == 0:
            self._must(["volume", "rm", name], f"remove the volume '{name}'")

    def last_lines(self, name: str, lines: int = _FAILED_LINES) -> list[str]:
        """What a container wrote last."""
        return [line for _, line in self.runner.lines([["logs", "--tail", str(lines), name]])]

    def variables_of(self, name: str) -> dict[str, str]:
        """The environment that a container was given."""
        words = ["container", "inspect", "--format", "{{json .Config.Env}}", name]
        done = self.runner.run(words)
        try:
            pairs = json.loads(done.output or "[]") if done.code == 0 else []
        except ValueError:
            return {}
        return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}

    def keep_secret(self, name: str, value: str) -> None:
        """Have podman keep a secret; the value goes over its standard input."""
        self._must(["secret", "create", name, "-"], f"keep the secret '{name}'", given=value)

    def remove_secrets(self, names: Sequence[str]) -> None:
        """Have it forget some."""
        if names:
            self.runner.run(["secret", "rm", *names], shown=True)

    def _must(self, words: Sequence[str], what: str, *, shown: bool = True, given: str | None = None) -> str:
        done = self.runner.run(words, shown=shown, given=given)
        if done.code:
            raise DeployError(f"Cannot {what}: {_said(done)}.")
        return done.output


def _container(values: dict[str, Any]) -> Container:
    state = values["State"]
    return Container(
        name=values["Name"].removeprefix("/"),
        status=state["Status"],
        code=state.get("ExitCode", 0),
        restarts=values.get("RestartCount", 0),
        out_of_memory=bool(state.get("OOMKilled")),
    )


def _said(done: Finished) -> str:
    """The tool's own words: what it says last is why it failed."""
    lines = [line.strip() for line in done.error.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else f"exit code {done.code}"
