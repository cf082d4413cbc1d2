"""Whether any node of the cluster can run a chute, and what they have when none can."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chutes.deploy.kubernetes.scheduling import MEMORY_LABEL, gpu_resource, node_terms
from chutes.deploy.plan import Resources
from chutes.errors import DeployError

__all__ = ["check_nodes"]

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNITS |= {f"{letter}i": 1024.0 ** (power + 1) for power, letter in enumerate("KMGT")}
_SHOWN = 8


def check_nodes(resources: Resources, nodes: Sequence[Mapping[str, Any]]) -> None:
    """See that one of the nodes is large enough and has the GPUs; what runs there already does not count.

    Raises:
        DeployError: none is; the text says what each has.
    """
    if not nodes or any(_fits(resources, node) for node in nodes):
        return
    shown = [_describe(resources, node) for node in nodes[:_SHOWN]]
    more = f"\n  and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    raise DeployError(
        f"No node of the cluster has what the chute asks for: {_wish(resources)}. There are:\n  "
        + "\n  ".join(shown)
        + more
        + _hint(resources, nodes)
    )


def _fits(resources: Resources, node: Mapping[str, Any]) -> bool:
    if node.get("spec", {}).get("unschedulable"):
        return False
    if resources.gpu_count and _amount(node, gpu_resource(resources)) < resources.gpu_count:
        return False
    if (
        _amount(node, "cpu") < (resources.cpu or 0)
        or _amount(node, "memory") < (resources.memory_gb or 0) * 1e9
    ):
        return False
    return all(_holds(term, node) for term in node_terms(resources))


def _holds(term: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    value = _labels(node).get(term["key"])
    if term["operator"] == "NotIn":
        return value not in term["values"]
    if value is None:
        return False
    if term["operator"] == "Gt":
        return value.isdigit() and int(value) > int(term["values"][0])
    return value in term["values"]


def _labels(node: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = node["metadata"].get("labels", {})
    return found


def _amount(node: Mapping[str, Any], name: str) -> float:
    """How much of something pods may have there; a quantity such as 3920m or 16Gi."""
    text = str(node.get("status", {}).get("allocatable", {}).get(name, "0"))
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", text)
    return float(found[1]) * _UNITS.get(found[2], 1.0) if found else 0.0


def _wish(resources: Resources) -> str:
    parts = []
    if resources.gpu_count:
        names = f" ({', '.join(resources.gpus[:_SHOWN])}{', …' if len(resources.gpus) > _SHOWN else ''})"
        memory = f" of {resources.min_vram_gb:g} GB" if resources.min_vram_gb else ""
        parts.append(f"{resources.gpu_count} {gpu_resource(resources)}{memory}{names}")
    if resources.cpu:
        parts.append(f"{resources.cpu:g} cores")
    if resources.memory_gb:
        parts.append(f"{resources.memory_gb:g} GB of memory")
    return ", ".join(parts)


def _describe(resources: Resources, node: Mapping[str, Any]) -> str:
    facts = [f"{_amount(node, 'cpu'):g} cores", f"{_amount(node, 'memory') / 1e9:.0f} GB of memory"]
    if resources.gpu_count:
        kind = gpu_resource(resources)
        count = _amount(node, kind)
        product = next((_labels(node)[key] for key in _labels(node) if "gpu.product" in key), "")
        memory = _labels(node).get(MEMORY_LABEL)
        about = ", ".join(filter(None, [product, f"{memory} MiB" if memory else ""]))
        facts.insert(0, f"{count:g} {kind}{f' ({about})' if about else ''}")
    closed = ", closed to new pods" if node.get("spec", {}).get("unschedulable") else ""
    return f"{node['metadata']['name']}: {', '.join(facts)}{closed}"


def _hint(resources: Resources, nodes: Sequence[Mapping[str, Any]]) -> str:
    if not resources.gpu_count:
        return ""
    having = [node for node in nodes if _amount(node, gpu_resource(resources)) >= resources.gpu_count]
    wanted = [term["key"] for term in node_terms(resources) if term["operator"] != "NotIn"]
    if having and wanted and not any(key in _labels(node) for node in having for key in wanted):
        return (
            f"\nThe nodes with GPUs have no label {wanted[0]}: install the vendor's GPU operator, or its feature discovery "
            "alone, which sets it."
        )
    return ""
