"""Which nodes a chute may run on: GPUs, their kind and memory, processors and main memory."""

from typing import Any

from chutes.chute.gpus import GPUS, Gpu
from chutes.deploy.plan import Resources
from chutes.errors import DeployError

__all__ = [
    "MEMORY_LABEL",
    "affinity",
    "container_resources",
    "gpu_resource",
    "node_terms",
    "tolerations",
    "vendor",
]

MEMORY_LABEL = "nvidia.com/gpu.memory"

_PRODUCT_LABELS = {"nvidia": "nvidia.com/gpu.product", "amd": "amd.com/gpu.product-name"}
# Drivers report between 944 MiB (a T4) and 1024 MiB for each GB that a card is sold with; the next smaller size of any
# card is far below this share.
_MIB_PER_GB = 940
# A horizontal autoscaler compares with what was asked for, so something has to be.
_CPU_MILLI = 500


def vendor(resources: Resources) -> str:
    """Whose GPUs are asked for; a pod can ask for one vendor's alone, and NVIDIA's goes first."""
    vendors = {gpu.vendor for gpu in _chosen(resources)}
    return "amd" if vendors == {"amd"} else "nvidia"


def gpu_resource(resources: Resources) -> str:
    """What a pod asks for: `nvidia.com/gpu` or `amd.com/gpu`."""
    return f"{vendor(resources)}.com/gpu"


def container_resources(resources: Resources) -> dict[str, Any]:
    """Requests and limits. The processor has no limit: a busy neighbour costs nothing that was asked for."""
    cpu = _CPU_MILLI if resources.cpu is None else max(1, round(resources.cpu * 1000))
    requests, limits = {"cpu": f"{cpu}m" if cpu % 1000 else str(cpu // 1000)}, {}
    if resources.memory_gb is not None:
        requests["memory"] = limits["memory"] = f"{max(1, round(resources.memory_gb * 1000))}M"
    if resources.gpu_count:
        limits[gpu_resource(resources)] = str(resources.gpu_count)
    return {"requests": requests} | ({"limits": limits} if limits else {})


def node_terms(resources: Resources) -> list[dict[str, Any]]:
    """What the labels of a node must say of its GPUs, all of it.

    Raises:
        DeployError: no label tells the GPUs that are asked for from others.
    """
    if not resources.gpu_count:
        return []
    terms: list[dict[str, Any]] = []
    if vendor(resources) == "nvidia" and resources.min_vram_gb > 0:
        least = int(resources.min_vram_gb * _MIB_PER_GB) - 1
        terms.append({"key": MEMORY_LABEL, "operator": "Gt", "values": [str(least)]})
    products = _product_term(resources)
    return [*terms, products] if products else terms


def affinity(resources: Resources) -> dict[str, Any] | None:
    """The affinity of the pod, None where any node will do."""
    terms = node_terms(resources)
    if not terms:
        return None
    required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def tolerations(resources: Resources) -> list[dict[str, str]]:
    """Nodes with GPUs are often closed to pods that want none."""
    if not resources.gpu_count:
        return []
    return [{"key": gpu_resource(resources), "operator": "Exists", "effect": "NoSchedule"}]


def _chosen(resources: Resources) -> list[Gpu]:
    return [gpu for gpu in GPUS if gpu.name in resources.gpus]


def _product_term(resources: Resources) -> dict[str, Any] | None:
    """The kinds that will do, or those that will not where these are fewer: cards that no catalogue knows may then do."""
    maker = vendor(resources)
    chosen = [gpu for gpu in _chosen(resources) if gpu.vendor == maker]
    left_out = [
        gpu
        for gpu in GPUS
        if gpu.vendor == maker and gpu not in chosen and gpu.vram_gb >= resources.min_vram_gb
    ]
    if maker == "nvidia" and not left_out:
        return None
    if maker == "nvidia" and len(left_out) < len(chosen):
        products = [product for gpu in left_out for product in gpu.products]
        # Shared by time slicing it is still the same card.
        values = [f"{product}{end}" for product in products for end in ("", "-SHARED")]
        return {"key": _PRODUCT_LABELS[maker], "operator": "NotIn", "values": values}
    values = [product for gpu in chosen for product in gpu.products]
    if not values:
        names = ", ".join(gpu.name for gpu in chosen)
        raise DeployError(
            f"The nodes of Kubernetes have no label that tells {names} from other GPUs. Name one that they have, for "
            "example include=['mi300x']."
        )
    return {"key": _PRODUCT_LABELS[maker], "operator": "In", "values": values}
