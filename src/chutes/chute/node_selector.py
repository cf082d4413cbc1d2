"""The hardware that a chute asks for."""

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TypeGuard

from chutes.chute.gpus import GPUS, Gpu, find_gpu
from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

__all__ = ["NodeSelector"]

# Other frameworks' words, too far from ours for a comparison of spelling.
_OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "gpus": "gpu_count",
        "num_gpus": "gpu_count",
        "gpu": "include",
        "gpu_type": "include",
        "cpu_count": "cpu",
        "min_cpu_count": "cpu",
        "cpus": "cpu",
        "memory": "memory_gb",
        "min_memory_gb": "memory_gb",
        "vram": "min_vram_gb_per_gpu",
        "min_vram": "min_vram_gb_per_gpu",
    }
)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class NodeSelector:
    """What a machine must have to run a chute. A frozen value, checked when it is made.

    Args:
        gpu_count: GPUs for each instance; 0 asks for none.
        min_vram_gb_per_gpu: memory that each GPU must have, in GB.
        include: names of GPUs, of which the machine must have one. `h100` stands for its variants too.
        exclude: names of GPUs that the machine must not have. A variant that `include` names stays.
        cpu: CPU cores for each instance; a fraction is allowed.
        memory_gb: main memory for each instance, in GB.
        max_hourly_price_per_gpu: known to the public platform; has no effect here, and warns.

    Raises:
        DefinitionError: a value that cannot be, an unknown GPU or keyword, or nothing that satisfies it all.

    Example:
        >>> NodeSelector(gpu_count=2, min_vram_gb_per_gpu=24, include=["RTX 4090", "l4"])
        NodeSelector(gpu_count=2, min_vram_gb_per_gpu=24, include=('4090', 'l4'))
    """

    gpu_count: int
    min_vram_gb_per_gpu: float
    include: tuple[str, ...] | None
    exclude: tuple[str, ...] | None
    cpu: float | None
    memory_gb: float | None
    max_hourly_price_per_gpu: float | None

    def __init__(
        self,
        gpu_count: int = 1,
        min_vram_gb_per_gpu: float = 16,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        *,
        cpu: float | None = None,
        memory_gb: float | None = None,
        max_hourly_price_per_gpu: float | None = None,
        **unknown: object,
    ) -> None:
        _refuse_unknown(unknown)
        values = {
            "gpu_count": _checked_count(gpu_count),
            "min_vram_gb_per_gpu": _checked_vram(min_vram_gb_per_gpu),
            "include": _gpu_names("include", include),
            "exclude": _gpu_names("exclude", exclude),
            "cpu": _checked_amount("cpu", cpu, "cores, for example 4 or 0.5"),
            "memory_gb": _checked_amount("memory_gb", memory_gb, "GB, for example 32"),
            "max_hourly_price_per_gpu": _checked_amount(
                "max_hourly_price_per_gpu", max_hourly_price_per_gpu, "a price"
            ),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.gpu_count and not self.gpus():
            raise DefinitionError(self._why_nothing_is_left())
        if max_hourly_price_per_gpu is not None:
            warnings.warn(
                "NodeSelector(max_hourly_price_per_gpu=…) has no effect here: no price is known.",
                stacklevel=2,
            )

    def gpus(self) -> tuple[Gpu, ...]:
        """Return the GPUs of the catalogue that satisfy this selector, empty when it asks for none."""
        return tuple(gpu for gpu in GPUS if self.gpu_count and not self._objection(gpu))

    def __repr__(self) -> str:
        shown = (
            f"{name}={value!r}"
            for name, value in ((field.name, getattr(self, field.name)) for field in fields(self))
            if value is not None
        )
        return f"NodeSelector({', '.join(shown)})"

    def _objection(self, gpu: Gpu) -> str:
        """Say why the selector does not take this GPU, "" when it does."""
        if self.include is not None and not _named(gpu, self.include):
            return "it is not in include"
        if gpu.vram_gb < self.min_vram_gb_per_gpu:
            return f"it has {gpu.vram_gb} GB, less than min_vram_gb_per_gpu={self.min_vram_gb_per_gpu:g}"
        exclude = self.exclude or ()
        if gpu.name in exclude:
            return "it is in exclude"
        if gpu.variant_of in exclude and gpu.name not in (self.include or ()):
            return f"it is a variant of {gpu.variant_of!r}, which is in exclude"
        return ""

    def _why_nothing_is_left(self) -> str:
        largest = max(GPUS, key=lambda gpu: gpu.vram_gb)
        if self.min_vram_gb_per_gpu > largest.vram_gb:
            return (
                f"No GPU has min_vram_gb_per_gpu={self.min_vram_gb_per_gpu:g}: the largest in the catalogue"
                f" is {largest.name!r} with {largest.vram_gb} GB. Ask for several GPUs, for example"
                " NodeSelector(gpu_count=8, min_vram_gb_per_gpu=80)."
            )
        candidates = [gpu for gpu in GPUS if _named(gpu, self.include or self.exclude or ())]
        dropped = "; ".join(f"{gpu.name!r}: {self._objection(gpu)}" for gpu in candidates)
        return (
            f"No GPU satisfies {self!r}. Dropped: {dropped}."
            " Lower min_vram_gb_per_gpu, or change include or exclude."
        )


def _named(gpu: Gpu, names: tuple[str, ...]) -> bool:
    return gpu.name in names or gpu.variant_of in names


def _refuse_unknown(unknown: Mapping[str, object]) -> None:
    known = [field.name for field in fields(NodeSelector)]
    for name in unknown:
        other = _OTHER_WORDS.get(name)
        hint = f" Did you mean {other!r}?" if other else did_you_mean(name, known)
        raise DefinitionError(f"NodeSelector has no parameter {name!r}.{hint} It takes {', '.join(known)}.")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _checked_count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DefinitionError(
            f"Invalid gpu_count={value!r}. Write a whole number: the GPUs of each instance, 0 for none."
        )
    return value


def _checked_vram(value: object) -> float:
    if not _is_number(value) or value < 0:
        raise DefinitionError(f"Invalid min_vram_gb_per_gpu={value!r}. Write a number of GB, for example 24.")
    return value


def _checked_amount(name: str, value: object, unit: str) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or value <= 0:
        raise DefinitionError(f"Invalid {name}={value!r}. Write a number above 0: {unit}.")
    return value


def _gpu_names(parameter: str, value: object) -> tuple[str, ...] | None:
    """Return the catalogue's names, each once and in order; None when nothing is named."""
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise DefinitionError(
            f"Invalid {parameter}={value!r}. Write a list of GPU names: {parameter}=['a100', 'h100']."
        )
    return tuple(dict.fromkeys(find_gpu(name).name for name in value)) or None
