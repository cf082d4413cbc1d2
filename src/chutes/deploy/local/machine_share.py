"""What a chute gets of the machine: GPUs that nobody else has, ports that nobody else uses."""

import random
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chutes.chute.gpus import GPUS
from chutes.deploy.plan import Resources
from chutes.engines.hardware import Gpu, Hardware
from chutes.errors import DeployError

__all__ = ["Share", "check_machine", "free_port", "share_gpus"]

# Ports that the system gives to outgoing connections begin above these.
_INSTANCE_PORTS = range(20_000, 30_000)
_CHUTE_PORTS = range(8_100, 9_000)


@dataclass(frozen=True, slots=True)
class Share:
    """GPUs by their numbers, for each new instance.

    Attributes:
        gpus: those of each instance.
        waits: they are in use by what is to be replaced, which has to stop first.
    """

    gpus: tuple[tuple[int, ...], ...]
    waits: bool = False


def check_machine(resources: Resources, hardware: Hardware) -> None:
    """See that one instance has room here.

    Raises:
        DeployError: it has not; the text says what is there.
    """
    if resources.cpu is not None and resources.cpu > hardware.cores:
        raise DeployError(f"The chute asks for {resources.cpu:g} cores, and this machine has {hardware}.")
    if resources.memory_gb is not None and resources.memory_gb * 1e9 > hardware.memory_bytes:
        raise DeployError(
            f"The chute asks for {resources.memory_gb:g} GB of memory, and this machine has {hardware}."
        )
    if resources.gpu_count and len(_fitting(resources, hardware)) < resources.gpu_count:
        raise DeployError(
            f"The chute asks for {_wish(resources)}, and this machine has {hardware}. Change its node_selector, or deploy it "
            "to a machine or cluster that has them."
        )


def share_gpus(
    resources: Resources, hardware: Hardware, count: int, *, taken: Iterable[int], own: Iterable[int] = ()
) -> Share:
    """Give `count` instances their GPUs.

    Args:
        resources: what each needs.
        hardware: what there is.
        count: how many instances.
        taken: GPUs of other chutes, and of instances that stay.
        own: GPUs of instances that will stop when these are ready.

    Raises:
        DeployError: there are not so many.
    """
    if not resources.gpu_count:
        return Share(((),) * count)
    fitting, others, old = _fitting(resources, hardware), set(taken), set(own)
    available = [number for number in fitting if number not in others]
    free = [number for number in available if number not in old]
    needed = count * resources.gpu_count
    if len(available) < needed:
        raise DeployError(
            f"{count} instances with {_wish(resources)} each need {needed} GPUs, and {len(available)} are free here: "
            f"this machine has {hardware}, and other chutes use {len(others & set(fitting))} of those that fit."
        )
    waits = len(free) < needed
    chosen = (available if waits else free)[:needed]
    each = resources.gpu_count
    return Share(tuple(tuple(chosen[n : n + each]) for n in range(0, needed, each)), waits)


def free_port(taken: Iterable[int], *, of_chute: bool = False, host: str = "127.0.0.1") -> int:
    """A port that nothing listens on and nobody else was given.

    Raises:
        DeployError: all are in use.
    """
    others = set(taken)
    ports: Sequence[int] = _CHUTE_PORTS
    if not of_chute:
        ports = random.sample(_INSTANCE_PORTS, 200)
    for port in ports:
        if port not in others and can_bind(host, port):
            return port
    raise DeployError(f"No port from {min(ports)} to {max(ports)} is free on {host}. Choose one with --port.")


def can_bind(host: str, port: int) -> bool:
    """Whether nothing listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except PermissionError:
            # A low port, which the front's container may take.
            return True
        except OSError:
            return False
    return True


def _fitting(resources: Resources, hardware: Hardware) -> list[int]:
    """The numbers of the GPUs that the chute can use."""
    return [number for number, gpu in enumerate(hardware.gpus) if _fits(resources, gpu)]


def _fits(resources: Resources, gpu: Gpu) -> bool:
    product = gpu.name.replace(" ", "-")
    known = next((one for one in GPUS if product in one.products), None)
    if known is not None:
        return known.name in resources.gpus
    # One that the catalogue does not know will do where any with that much memory would.
    anything = {one.name for one in GPUS if one.vram_gb >= resources.min_vram_gb}
    return set(resources.gpus) == anything and gpu.memory_bytes >= resources.min_vram_gb * 1e9


def _wish(resources: Resources, most: int = 6) -> str:
    names = ", ".join(resources.gpus[:most]) + (" or others" if len(resources.gpus) > most else "")
    many = f"{resources.gpu_count} GPUs" if resources.gpu_count > 1 else "a GPU"
    return f"{many} with {resources.min_vram_gb:g} GB or more ({names})"
