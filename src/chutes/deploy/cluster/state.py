"""What is kept of the cluster on this machine: where it answers, and which processes are its own."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from chutes.errors import DeployError
from chutes.settings import Settings

__all__ = [
    "Address",
    "ClusterState",
    "StartedNode",
    "cluster_folder",
    "forget",
    "keep",
    "kept",
    "local_cluster",
    "write_privately",
]

_FORMAT = 1
_OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """How to reach a Ray cluster.

    Attributes:
        dashboard: where deployments are sent, such as `http://127.0.0.1:8265`.
        url: where its chutes answer, such as `http://127.0.0.2:8000`.
        token: what the cluster wants to see of whoever talks to it.
    """

    dashboard: str
    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedNode:
    """One node: the process that holds all of its others, and what the node offers.

    Attributes:
        name: what it is called on the command line, such as `head`.
        pid: of the process that was started for it.
        started_at: what the system says of that process's start; another process that got the same number differs.
        gpu: name from the catalogue, empty without GPUs.
        gpu_count: GPUs; pretended ones count.
        cpu: cores that it offers.
        labels: what node selectors are compared with.
    """

    name: str
    pid: int
    started_at: str
    gpu: str = ""
    gpu_count: int = 0
    cpu: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """The cluster that `chutes cluster up` started.

    Attributes:
        mark: stands in the environment of every process of the cluster.
        python: the interpreter that has Ray.
        ray_version: of that Ray.
        head: `address:port` at which further nodes join.
        dashboard: see `Address`.
        url: see `Address`.
        folder: short path of Ray's own files, its logs among them.
        ha_proxy: HAProxy stands in front of the replicas, rather than Ray's own proxy.
        nodes: the first is the head.
    """

    mark: str
    python: str
    ray_version: str
    head: str
    dashboard: str
    url: str
    folder: str
    ha_proxy: bool = True
    nodes: tuple[StartedNode, ...] = ()


def local_cluster(settings: Settings) -> Address | None:
    """Where the cluster of this machine answers; None when `chutes cluster up` has started none.

    Raises:
        DeployError: what was kept of it cannot be read.
    """
    state = kept(settings)
    if state is None:
        return None
    return Address(dashboard=state.dashboard, url=state.url, token=_token(settings))


def cluster_folder(settings: Settings) -> Path:
    """Where the state and the token are kept."""
    return settings.home / "cluster"


def kept(settings: Settings) -> ClusterState | None:
    """The state, None when there is none.

    Raises:
        DeployError: it cannot be read.
    """
    file = cluster_folder(settings) / "cluster.json"
    try:
        return _parsed(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise DeployError(f"Cannot read {file}, which says what cluster runs here: {exc}.") from exc


def keep(settings: Settings, state: ClusterState) -> None:
    """Write the state; a reader sees the old one or the new one, whole."""
    write_privately(
        cluster_folder(settings) / "cluster.json", json.dumps({"format": _FORMAT, **asdict(state)}, indent=1)
    )


def forget(settings: Settings) -> None:
    """Take state and token away."""
    for name in ("cluster.json", "token"):
        (cluster_folder(settings) / name).unlink(missing_ok=True)


def write_privately(file: Path, text: str) -> None:
    """Write a file that only its owner may read; its folder is made when it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "w") as out:
        out.write(text)
    draft.replace(file)


def _token(settings: Settings) -> str:
    file = cluster_folder(settings) / "token"
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise DeployError(
            f"Cannot read the cluster's token in {file}: {exc.strerror}. Start anew with `chutes cluster down` and "
            "`chutes cluster up`."
        ) from exc


def _parsed(values: dict[str, Any]) -> ClusterState:
    if values.pop("format") != _FORMAT:
        raise ValueError("another version of chutes wrote it")
    nodes = tuple(StartedNode(**node) for node in values.pop("nodes"))
    return ClusterState(**values, nodes=nodes)
