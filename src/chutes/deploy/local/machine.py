"""The platform 'local': one machine, and the containers on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chutes.deploy.deployment import Deployment
from chutes.deploy.local.runner import Runner
from chutes.deploy.plan import Plan, Secret
from chutes.deploy.platforms import Say
from chutes.deploy.secret_values import secret_value
from chutes.engines.hardware import HardwareProbe, MachineProbe
from chutes.errors import DeployError

__all__ = ["LocalPlatform", "Network"]

Network = Literal["auto", "host", "own"]


@dataclass(frozen=True, slots=True)
class LocalPlatform:
    """Runs chutes as containers of podman or docker on this machine.

    Attributes:
        runner: the container tool, as `find_runner` finds it.
        home: the folder that keeps what is deployed, as `CHUTES_HOME` names it.
        host: the address that a chute's port is bound to.
        port: the chute's port; None: the one it had, or a free one that it then keeps.
        network: whether instances use the machine's network ("host") or one of the tool ("own"); "auto" finds out which one
            the tool gives them.
        ready_seconds: how long an instance may take to get ready.
        hardware: finds out what the machine has.
        value_of: the value of a secret; None when there is none, and then the one that was given before is kept.
    """

    runner: Runner
    home: Path
    host: str = "127.0.0.1"
    port: int | None = None
    network: Network = "auto"
    ready_seconds: float = 3600
    hardware: HardwareProbe = field(default_factory=MachineProbe)
    value_of: Callable[[Secret], str | None] = secret_value

    def deployments(self) -> Sequence[Deployment]:
        """All chutes that were deployed here, sorted by their slug."""
        return []

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Make it so as a new revision, and wait until it is ready."""
        raise DeployError(f"Cannot run {plan.slug} here yet.")

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The last lines that the instances wrote, and then those that come."""
        raise DeployError(f"No chute '{slug}' runs here.")

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """End it and forget its revisions; with `data` also what it kept."""
        raise DeployError(f"No chute '{slug}' runs here.")
