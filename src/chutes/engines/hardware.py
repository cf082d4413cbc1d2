"""What this machine has for a model: its GPUs, cores and memory."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["FakeHardware", "Gpu", "Hardware", "HardwareProbe", "MachineProbe"]

_QUERY_SECONDS = 20.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, with its whole memory in bytes."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A machine, or the part of it that this process may use.

    Attributes:
        cores: processor cores.
        memory_bytes: main memory.
        gpus: NVIDIA GPUs.
    """

    cores: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()

    def __str__(self) -> str:
        gpus = ", ".join(f"{gpu.name} with {gpu.memory_bytes / 1e9:.0f} GB" for gpu in self.gpus)
        return f"{self.cores} cores, {self.memory_bytes / 1e9:.0f} GB of memory, {gpus or 'no GPU'}"


class HardwareProbe(Protocol):
    """Finds out what the machine has."""

    def look(self) -> Hardware:
        """Return it; blocking, for some seconds where a GPU has to wake up."""
        ...


class MachineProbe:
    """Asks the system, and `nvidia-smi` where there is one."""

    def look(self) -> Hardware:
        """Return what this process may use; a GPU that its driver cannot reach counts as none."""
        return Hardware(cores=_cores(), memory_bytes=_memory_bytes(), gpus=_gpus())


@dataclass(frozen=True, slots=True)
class FakeHardware:
    """A probe that finds what it was made with."""

    hardware: Hardware

    def look(self) -> Hardware:
        """Return that."""
        return self.hardware


def parse_gpus(lines: Sequence[str]) -> tuple[Gpu, ...]:
    """GPUs from lines such as `NVIDIA H100 80GB HBM3, 81559`, the number in MiB.

    >>> parse_gpus(["NVIDIA L4, 23034"])
    (Gpu(name='NVIDIA L4', memory_bytes=24152899584),)
    """
    gpus = []
    for line in lines:
        name, _, memory = line.rpartition(",")
        # A GPU that shares the main memory says "[N/A]".
        mebibytes = int(memory) if memory.strip().isdigit() else 0
        if name.strip():
            gpus.append(Gpu(name=name.strip(), memory_bytes=mebibytes * _MIB))
    return tuple(gpus)


def _gpus() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(  # noqa: S603 - the program on PATH, with words of ours
            query, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_gpus(answer.stdout.splitlines()) if answer.returncode == 0 else ()


def _cores() -> int:
    # A container may be kept to some of the machine's cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
