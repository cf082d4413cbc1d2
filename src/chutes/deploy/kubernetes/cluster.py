"""The platform 'kubernetes': a cluster that kubectl reaches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from chutes.deploy.deployment import Deployment
from chutes.deploy.kubernetes.kubectl import Kubectl
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.plan import Plan, Secret
from chutes.deploy.platforms import Say
from chutes.deploy.secret_values import secret_value
from chutes.errors import DeployError

__all__ = ["KubernetesPlatform"]


@dataclass(frozen=True, slots=True)
class KubernetesPlatform:
    """Runs chutes on a Kubernetes cluster.

    Attributes:
        kubectl: how the cluster is reached, as `find_kubectl` finds it.
        options: how plans are written down for it.
        ready_seconds: how long a revision may take to get ready.
        check_nodes: refuse a selector that no node satisfies; not for clusters that add nodes when they are asked for.
        value_of: the value of a secret; None when there is none, and then the one that was given before is kept.
    """

    kubectl: Kubectl
    options: ManifestOptions = field(default_factory=ManifestOptions)
    ready_seconds: float = 900
    check_nodes: bool = True
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
