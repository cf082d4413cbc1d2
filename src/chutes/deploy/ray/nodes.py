"""What a Ray cluster is and has, compared with what a chute asks for, before anything is sent."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chutes.deploy.plan import Plan, Resources
from chutes.deploy.platforms import Say
from chutes.deploy.ray.config import labels
from chutes.deploy.ray.dashboard import Dashboard
from chutes.errors import DeployError

__all__ = ["Node", "check_cluster", "check_fits", "makes_nodes", "node_names", "read_nodes"]

_GB = 1_000_000_000
_UNITS = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4}
_LEAST_RAY = (2, 60)
_LEAST_PYTHON = (3, 11)
_SHOWN_LABELS = ("chutes.gpu", "ray.io/accelerator-type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node that is alive.

    Attributes:
        name: what it was called at its start, or its address.
        labels: what selectors look at.
        cpu: cores in all, whatever is taken of them; likewise the next two.
        gpus: GPUs.
        memory: bytes.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    cpu: float = 0
    gpus: float = 0
    memory: float = 0

    def has(self, resources: Resources) -> bool:
        """Whether an instance would fit here if nothing else ran."""
        wanted_memory = (resources.memory_gb or 0) * _GB
        cpu = 1 if resources.cpu is None else resources.cpu
        return (
            self.gpus >= resources.gpu_count
            and self.cpu >= cpu
            and self.memory >= wanted_memory
            and all(_matches(self.labels.get(key), told) for key, told in labels(resources).items())
        )

    def __str__(self) -> str:
        kinds = [self.labels[key] for key in _SHOWN_LABELS if self.labels.get(key)]
        gpus = (
            f", {self.gpus:g} GPUs ({', '.join(kinds) or 'of a kind that nobody told'})" if self.gpus else ""
        )
        return f"{self.name}: {self.cpu:g} CPUs, {self.memory / _GB:.0f} GB{gpus}"


def check_cluster(dashboard: Dashboard, plan: Plan, say: Say) -> None:
    """See that a cluster answers, has versions that this works with, and a node for the plan.

    Raises:
        DeployError: it does not.
    """
    ray = dashboard.ray_version()
    if _version(ray) < _LEAST_RAY:
        raise DeployError(
            f"The cluster runs Ray {ray}, and chutes need {_dotted(_LEAST_RAY)} or newer. Nothing was sent."
        )
    python = dashboard.python_version()
    if python and _version(python) < _LEAST_PYTHON:
        raise DeployError(
            f"The cluster runs Python {python}, and chutes need {_dotted(_LEAST_PYTHON)} or newer. Nothing was sent."
        )
    here = sys.version_info[:2]
    if python and _version(python) != here and not plan.image:
        say(
            f"The cluster runs Python {python}, and this machine {_dotted(here)}: the chute was tried with another one."
        )
    try:
        check_fits(plan.resources, read_nodes(dashboard.nodes()))
    except DeployError:
        if not makes_nodes(dashboard.autoscaling()):
            raise
        say("No node of the cluster has what the chute needs so far; its autoscaler is asked for one.")


def read_nodes(found: Sequence[Mapping[str, Any]]) -> list[Node]:
    """The nodes that are alive, of the rows that the dashboard lists."""
    return [_read(row) for row in found if row.get("state") == "ALIVE"]


def node_names(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What each node is called, by its id."""
    return {str(row.get("node_id", "")): _name(row) for row in found}


def check_fits(resources: Resources, nodes: Sequence[Node]) -> None:
    """See that at least one node could run an instance.

    Raises:
        DeployError: none could; it lists what there is.
    """
    if any(node.has(resources) for node in nodes):
        return
    there = "\n".join(f"  {node}" for node in nodes) or "  no node"
    raise DeployError(
        f"No node of the cluster has {wanted(resources)}. There is:\n{there}\n{_advice(resources, nodes)}"
    )


def wanted(resources: Resources) -> str:
    """What an instance asks for, in words."""
    parts = [f"{1 if resources.cpu is None else resources.cpu:g} CPUs"]
    if resources.memory_gb is not None:
        parts.append(f"{resources.memory_gb:g} GB of memory")
    if resources.gpu_count:
        selector = ", ".join(f"{key}={told}" for key, told in labels(resources).items())
        parts.append(
            f"{resources.gpu_count} GPUs of {resources.min_vram_gb:g} GB or more each, with the label {selector}"
        )
    return ", ".join(parts)


def _advice(resources: Resources, nodes: Sequence[Node]) -> str:
    has_gpus = any(node.gpus >= resources.gpu_count for node in nodes)
    if resources.gpu_count and has_gpus:
        return (
            "Ray tells a node by its labels: start it with its kind of GPU from the catalogue, for example "
            "`ray start --labels=chutes.gpu=a100,ray.io/accelerator-type=A100`, or change the chute's NodeSelector."
        )
    return "Add such a node, or ask for less in the chute's NodeSelector."


def _matches(value: str | None, told: str) -> bool:
    found = re.fullmatch(r"in\((.*)\)", told)
    return value is not None and value in (found[1].split(",") if found else [told])


def _read(row: Mapping[str, Any]) -> Node:
    resources = row.get("resources_total") or {}
    return Node(
        name=_name(row),
        labels=dict(row.get("labels") or {}),
        cpu=_number(resources.get("CPU")),
        gpus=_number(resources.get("GPU")),
        memory=_number(resources.get("memory")),
    )


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("node_name") or row.get("node_ip") or "")


def _number(value: object) -> float:
    """A number, also where it is written for people: `7.5 GiB`."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", str(value or 0))
    return float(found[1]) * _UNITS.get(found[2].lower(), 1) if found else 0.0


def _version(text: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", text)[:2])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def makes_nodes(report: Mapping[str, Any]) -> bool:
    """Whether an autoscaler starts nodes there: one that only watches names each node's type after the node."""
    kinds = (report.get("autoscalerReport") or {}).get("nodeTypeMapping") or {}
    return any(not str(kind).startswith("node_") for kind in kinds.values())
