"""How the cluster on this machine is: its nodes, and what runs on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chutes.deploy.cluster.own_processes import is_running
from chutes.deploy.cluster.state import ClusterState, cluster_folder, kept, local_cluster
from chutes.deploy.ray.dashboard import Dashboard
from chutes.errors import DeployError
from chutes.settings import Settings

__all__ = ["ClusterReport", "cluster_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReport:
    """What is known of the cluster.

    Attributes:
        state: what was started.
        running: of each node, whether it runs.
        token_file: what other programs need to talk to it.
        logs: the folder of Ray's logs.
        applications: what Serve runs, and how it is, by name.
        problem: why the cluster does not answer; empty when it does.
    """

    state: ClusterState
    running: tuple[bool, ...]
    token_file: Path
    logs: Path
    applications: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_running(self) -> bool:
        """Whether any of its nodes runs."""
        return any(self.running)


def cluster_report(settings: Settings) -> ClusterReport | None:
    """Look at it; None when none was started here."""
    state = kept(settings)
    if state is None:
        return None
    applications: dict[str, str] = {}
    problem = ""
    try:
        address = local_cluster(settings)
        found = Dashboard(state.dashboard, address.token if address else None).serve().get("applications", {})
        applications = {name: str(one.get("status", "")) for name, one in sorted(found.items())}
    except DeployError as exc:
        problem = str(exc)
    return ClusterReport(
        state=state,
        running=tuple(map(is_running, state.nodes)),
        token_file=cluster_folder(settings) / "token",
        logs=Path(state.folder) / "ray" / "session_latest" / "logs",
        applications=applications,
        problem=problem,
    )
