"""The nodes of a cluster on one machine: those that its GPUs make, and those that only pretend to have some."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from chutes.chute.gpus import GPUS, Gpu, find_gpu
from chutes.engines.hardware import Hardware
from chutes.errors import DefinitionError, DeployError
from chutes.suggestions import did_you_mean

__all__ = ["NodeSpec", "gpu_labels", "machine_nodes", "parse_node", "recognised"]

_WORDS = ("gpu", "count", "cpu", "memory", "label")
_GB = 1_000_000_000
_EXAMPLE = "Write for example --node gpu=h100,count=2 or --node cpu=4,label=zone:a."


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One node that is to be started.

    Attributes:
        name: what it is called.
        cpu: cores that it offers.
        memory: bytes of memory that it offers; None: what Ray finds.
        gpu: name from the catalogue, empty without GPUs or for GPUs that the catalogue lacks.
        gpu_count: GPUs that it offers.
        devices: the numbers of its real GPUs; empty: it has none, or pretends.
        labels: of its own, beyond those of its GPUs.
    """

    name: str = ""
    cpu: float = 1
    memory: int | None = None
    gpu: str = ""
    gpu_count: int = 0
    devices: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def all_labels(self) -> dict[str, str]:
        """Those of its GPUs, and its own."""
        return {**(gpu_labels(find_gpu(self.gpu)) if self.gpu else {}), **self.labels}


def gpu_labels(gpu: Gpu) -> dict[str, str]:
    """The labels by which chutes find a node with such GPUs."""
    labels = {"chutes.gpu": gpu.name}
    if gpu.accelerator_type:
        labels["ray.io/accelerator-type"] = gpu.accelerator_type
    return labels


def parse_node(text: str, cpu: float) -> NodeSpec:
    """The node that words such as `gpu=h100,count=2` describe.

    Args:
        text: `gpu=NAME`, `count=N`, `cpu=N`, `memory=GB`, `label=KEY:VALUE`, with commas between; labels may be several.
        cpu: cores, unless it says so.

    Raises:
        DeployError: it describes none.
    """
    values: dict[str, str] = {}
    labels: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        word, equals, value = part.partition("=")
        if word not in _WORDS or not equals or not value:
            known = did_you_mean(word, _WORDS) if equals else ""
            raise DeployError(f"Invalid --node {text!r}: {part!r} says nothing of a node.{known} {_EXAMPLE}")
        if word == "label":
            key, _, labels[key] = value.partition(":")
        else:
            values[word] = value
    gpu = _gpu(text, values.get("gpu", ""))
    count = int(_number(text, "count", values.get("count", "1" if gpu else "0")))
    memory = _number(text, "memory", values["memory"]) if "memory" in values else None
    return NodeSpec(
        cpu=_number(text, "cpu", values["cpu"]) if "cpu" in values else cpu,
        memory=None if memory is None else int(memory * _GB),
        gpu=gpu,
        gpu_count=count,
        labels=MappingProxyType(labels),
    )


def machine_nodes(hardware: Hardware, count: int = 1, pretended: Sequence[NodeSpec] = ()) -> list[NodeSpec]:
    """The nodes of a cluster on this machine, the head first.

    GPUs of one kind stand in one node: a node can say of one kind only that it has it.

    Args:
        hardware: what the machine has.
        count: nodes, pretended ones left aside; more than the GPUs make offer the machine's cores over again.
        pretended: nodes beside them.
    """
    kinds: dict[str, list[int]] = {}
    for number, gpu in enumerate(hardware.gpus):
        kinds.setdefault(gpu.name, []).append(number)
    real = [
        NodeSpec(
            cpu=hardware.cores,
            gpu=found.name if (found := recognised(name)) else "",
            gpu_count=len(devices),
            devices=tuple(devices),
        )
        for name, devices in kinds.items()
    ]
    plain = [NodeSpec(cpu=hardware.cores)] * max(count - len(real), 0 if real else 1)
    nodes = [*real, *plain, *pretended]
    return [replace(node, name=f"node-{number}" if number else "head") for number, node in enumerate(nodes)]


def recognised(product: str) -> Gpu | None:
    """The GPU of the catalogue that a driver calls so, such as `NVIDIA H100 80GB HBM3`; None for one that it lacks."""
    label = product.replace(" ", "-")
    exact = next((gpu for gpu in GPUS if label in gpu.products), None)
    if exact is not None:
        return exact
    try:
        return find_gpu(product)
    except DefinitionError:
        return None


def _gpu(text: str, name: str) -> str:
    try:
        return find_gpu(name).name if name else ""
    except DefinitionError as exc:
        raise DeployError(f"Invalid --node {text!r}. {exc}") from None


def _number(text: str, word: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    whole = word != "count" or number == int(number) if math.isfinite(number) else False
    if not whole or number < 0:
        raise DeployError(f"Invalid --node {text!r}: {word}={value} is no number. {_EXAMPLE}")
    return number
