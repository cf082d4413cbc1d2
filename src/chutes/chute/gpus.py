"""The catalogue of GPUs that a node selector can name."""

import re
from dataclasses import dataclass
from types import MappingProxyType

from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

__all__ = ["GPUS", "Gpu", "find_gpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One kind of GPU, and what clusters call it.

    Attributes:
        name: the name that a node selector uses.
        vram_gb: memory in GB of 10^9 bytes, as sold; drivers report at least this much.
        vendor: "nvidia" or "amd".
        variant_of: the GPU whose name stands for this one too: `h100` also selects `h100_sxm`.
        aliases: other names for it, apart from spelling (case, separators, a leading "RTX" or "NVIDIA").
        products: values of the node label `nvidia.com/gpu.product` or `amd.com/gpu.product-name`. Shared GPUs
            and MIG slices carry a suffix after these.
        accelerator_type: Ray's name, the value of the label `ray.io/accelerator-type`.
    """

    name: str
    vram_gb: int
    vendor: str = "nvidia"
    variant_of: str | None = None
    aliases: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    accelerator_type: str | None = None


def find_gpu(name: str) -> Gpu:
    """Return the GPU of this name or alias; `RTX 4090`, `rtx_4090` and `4090` are one.

    Raises:
        DefinitionError: the catalogue has no such GPU.
    """
    key = _key(str(name))
    gpu = _BY_KEY.get(key)
    if gpu is None:
        raise DefinitionError(
            f"Unknown GPU {name!r}.{did_you_mean(key, _NAMES)}"
            " The names are in the table of docs/node-selectors.md and in chutes.chute.gpus.GPUS,"
            " for example 'l4', '4090', 'a100' or 'h100'."
        )
    return gpu


def _geforce(name: str, vram_gb: int, model: str) -> Gpu:
    return Gpu(
        name=name,
        vram_gb=vram_gb,
        products=(f"NVIDIA-GeForce-RTX-{model}",),
        accelerator_type=f"GeForce-RTX-{model}",
    )


def _workstation(name: str, vram_gb: int, accelerator_type: str, *products: str, alias: str = "") -> Gpu:
    return Gpu(
        name=name,
        vram_gb=vram_gb,
        aliases=(alias,) if alias else (),
        products=tuple(f"NVIDIA-RTX-{product}" for product in products),
        accelerator_type=accelerator_type,
    )


def _instinct(name: str, vram_gb: int, accelerator_type: str, *products: str) -> Gpu:
    return Gpu(
        name=name,
        vram_gb=vram_gb,
        vendor="amd",
        products=products,
        accelerator_type=f"AMD-Instinct-{accelerator_type}",
    )


_DATA_CENTRE = (
    Gpu(name="k80", vram_gb=12, products=("Tesla-K80",), accelerator_type="K80"),
    Gpu(name="p4", vram_gb=8, products=("Tesla-P4",), accelerator_type="P4"),
    Gpu(name="p40", vram_gb=24, products=("Tesla-P40",), accelerator_type="P40"),
    Gpu(
        name="p100",
        vram_gb=16,
        aliases=("p100_16gb",),
        products=("Tesla-P100-PCIE-16GB", "Tesla-P100-SXM2-16GB"),
        accelerator_type="P100",
    ),
    Gpu(
        name="v100",
        vram_gb=16,
        aliases=("v100_16gb",),
        products=("Tesla-V100-PCIE-16GB", "Tesla-V100-SXM2-16GB"),
        accelerator_type="V100",
    ),
    Gpu(
        name="v100_32gb",
        vram_gb=32,
        variant_of="v100",
        aliases=("v100s",),
        products=(
            "Tesla-V100-PCIE-32GB",
            "Tesla-V100-SXM2-32GB",
            "Tesla-V100-SXM3-32GB",
            "Tesla-V100S-PCIE-32GB",
        ),
        accelerator_type="V100",
    ),
    Gpu(name="t4", vram_gb=16, products=("Tesla-T4",), accelerator_type="T4"),
    Gpu(name="a2", vram_gb=16, products=("NVIDIA-A2",), accelerator_type="A2"),
    Gpu(name="a10", vram_gb=24, products=("NVIDIA-A10",), accelerator_type="A10"),
    Gpu(name="a10g", vram_gb=24, products=("NVIDIA-A10G",), accelerator_type="A10G"),
    Gpu(name="a16", vram_gb=16, products=("NVIDIA-A16",), accelerator_type="A16"),
    Gpu(name="a30", vram_gb=24, products=("NVIDIA-A30",), accelerator_type="A30"),
    Gpu(name="a40", vram_gb=48, products=("NVIDIA-A40",), accelerator_type="A40"),
    Gpu(
        name="a100_40gb",
        vram_gb=40,
        aliases=("a100_40g",),
        products=("NVIDIA-A100-PCIE-40GB", "A100-PCIE-40GB"),
        accelerator_type="A100",
    ),
    Gpu(
        name="a100_40gb_sxm",
        vram_gb=40,
        variant_of="a100_40gb",
        aliases=("a100_sxm_40gb", "a100_sxm4_40gb"),
        products=("NVIDIA-A100-SXM4-40GB", "A100-SXM4-40GB"),
        accelerator_type="A100",
    ),
    Gpu(
        name="a100",
        vram_gb=80,
        aliases=("a100_80gb", "a100_80g"),
        products=("NVIDIA-A100-80GB-PCIe", "A100-80GB-PCIe"),
        accelerator_type="A100",
    ),
    Gpu(
        name="a100_sxm",
        vram_gb=80,
        variant_of="a100",
        aliases=("a100_sxm4", "a100_80gb_sxm", "a100_sxm_80gb", "a100_sxm4_80gb"),
        products=("NVIDIA-A100-SXM4-80GB", "A100-SXM4-80GB"),
        accelerator_type="A100",
    ),
    Gpu(name="l4", vram_gb=24, products=("NVIDIA-L4",), accelerator_type="L4"),
    Gpu(name="l40", vram_gb=48, products=("NVIDIA-L40",), accelerator_type="L40"),
    Gpu(name="l40s", vram_gb=48, products=("NVIDIA-L40S",), accelerator_type="L40S"),
    Gpu(name="h20", vram_gb=96, products=("NVIDIA-H20",), accelerator_type="H20"),
    Gpu(name="h800", vram_gb=80, products=("NVIDIA-H800", "NVIDIA-H800-PCIe"), accelerator_type="H800"),
    Gpu(
        name="h100",
        vram_gb=80,
        aliases=("h100_80gb",),
        products=("NVIDIA-H100-PCIe",),
        accelerator_type="H100",
    ),
    Gpu(
        name="h100_sxm",
        vram_gb=80,
        variant_of="h100",
        aliases=("h100_sxm5", "h100_80gb_hbm3", "h100_hbm3"),
        products=("NVIDIA-H100-80GB-HBM3",),
        accelerator_type="H100",
    ),
    Gpu(
        name="h100_nvl", vram_gb=96, variant_of="h100", products=("NVIDIA-H100-NVL",), accelerator_type="H100"
    ),
    Gpu(
        name="gh200",
        vram_gb=96,
        aliases=("gh200_96gb",),
        products=("NVIDIA-GH200-480GB",),
        accelerator_type="GH200",
    ),
    Gpu(name="h200", vram_gb=141, aliases=("h200_sxm",), products=("NVIDIA-H200",), accelerator_type="H200"),
    Gpu(
        name="h200_nvl",
        vram_gb=141,
        variant_of="h200",
        products=("NVIDIA-H200-NVL",),
        accelerator_type="H200",
    ),
    Gpu(name="b200", vram_gb=192, products=("NVIDIA-B200",), accelerator_type="B200"),
    Gpu(name="gb200", vram_gb=192, products=("NVIDIA-GB200",), accelerator_type="GB200"),
    Gpu(name="b300", vram_gb=288, products=("NVIDIA-B300-SXM6-AC",), accelerator_type="B300"),
    Gpu(name="gb300", vram_gb=288, products=("NVIDIA-GB300",), accelerator_type="GB300"),
)

_WORKSTATION = (
    Gpu(
        name="titan_rtx", vram_gb=24, products=("NVIDIA-TITAN-RTX", "TITAN-RTX"), accelerator_type="TITAN-RTX"
    ),
    Gpu(name="quadro_rtx_6000", vram_gb=24, products=("Quadro-RTX-6000",)),
    Gpu(name="quadro_rtx_8000", vram_gb=48, products=("Quadro-RTX-8000",)),
    _workstation("a2000", 6, "RTX-A2000", "A2000"),
    _workstation("a4000", 16, "RTX-A4000", "A4000"),
    _workstation("a4500", 20, "RTX-A4500", "A4500"),
    _workstation("a5000", 24, "RTX-A5000", "A5000"),
    _workstation("a5500", 24, "RTX-A5500", "A5500"),
    _workstation("a6000", 48, "RTX-A6000", "A6000"),
    _workstation("a2000_ada", 16, "RTX-2000", "2000-Ada-Generation", alias="2000_ada"),
    _workstation(
        "a4000_ada", 20, "RTX-4000", "4000-Ada-Generation", "4000-SFF-Ada-Generation", alias="4000_ada"
    ),
    _workstation("a4500_ada", 24, "RTX-4500", "4500-Ada-Generation", alias="4500_ada"),
    _workstation("a5000_ada", 32, "RTX-5000", "5000-Ada-Generation", alias="5000_ada"),
    _workstation("a6000_ada", 48, "RTX-6000", "6000-Ada-Generation", alias="6000_ada"),
    _workstation("pro_4000", 24, "RTX-PRO-4000", "PRO-4000-Blackwell", alias="pro_4000_blackwell"),
    _workstation("pro_4500", 32, "RTX-PRO-4500", "PRO-4500-Blackwell", alias="pro_4500_blackwell"),
    _workstation("pro_5000", 48, "RTX-PRO-5000", "PRO-5000-Blackwell", alias="pro_5000_blackwell"),
    _workstation(
        "pro_6000",
        96,
        "RTX-PRO-6000",
        "PRO-6000-Blackwell-Server-Edition",
        "PRO-6000-Blackwell-Workstation-Edition",
        "PRO-6000-Blackwell-Max-Q-Workstation-Edition",
        alias="pro_6000_blackwell",
    ),
)

_GEFORCE = (
    _geforce("2080_ti", 11, "2080-Ti"),
    _geforce("3060", 12, "3060"),
    _geforce("3060_ti", 8, "3060-Ti"),
    _geforce("3070", 8, "3070"),
    _geforce("3070_ti", 8, "3070-Ti"),
    _geforce("3080", 10, "3080"),
    _geforce("3080_ti", 12, "3080-Ti"),
    _geforce("3090", 24, "3090"),
    _geforce("3090_ti", 24, "3090-Ti"),
    _geforce("4060", 8, "4060"),
    _geforce("4060_ti", 8, "4060-Ti"),
    _geforce("4070", 12, "4070"),
    _geforce("4070_super", 12, "4070-SUPER"),
    _geforce("4070_ti", 12, "4070-Ti"),
    _geforce("4070_ti_super", 16, "4070-Ti-SUPER"),
    _geforce("4080", 16, "4080"),
    _geforce("4080_super", 16, "4080-SUPER"),
    _geforce("4090", 24, "4090"),
    _geforce("4090_d", 24, "4090-D"),
    _geforce("5060", 8, "5060"),
    _geforce("5060_ti", 8, "5060-Ti"),
    _geforce("5070", 12, "5070"),
    _geforce("5070_ti", 16, "5070-Ti"),
    _geforce("5080", 16, "5080"),
    _geforce("5090", 32, "5090"),
    _geforce("5090_d", 32, "5090-D"),
)

_AMD = (
    _instinct("mi100", 32, "MI100"),
    _instinct("mi210", 64, "MI210"),
    _instinct("mi250", 128, "MI250X-MI250"),
    _instinct("mi250x", 128, "MI250X"),
    _instinct("mi300a", 128, "MI300A"),
    _instinct("mi300x", 192, "MI300X-OAM", "AMD_Instinct_MI300X_OAM"),
    _instinct("mi325x", 256, "MI325X-OAM", "AMD_Instinct_MI325_OAM", "AMD_Instinct_MI325X_OAM"),
    _instinct("mi350x", 288, "MI350X-OAM", "AMD_Instinct_MI350X_OAM"),
    _instinct("mi355x", 288, "MI355X-OAM", "AMD_Instinct_MI355X_OAM"),
)

GPUS: tuple[Gpu, ...] = _DATA_CENTRE + _WORKSTATION + _GEFORCE + _AMD


def _key(name: str) -> str:
    """Fold spelling away: case, separators, and the words of makers and product lines in front."""
    words = re.sub(r"[^a-z0-9]+", "", name.lower())
    return re.sub(r"^(?:nvidia|geforce|tesla|amd|instinct|rtx)+", "", words)


_BY_KEY = MappingProxyType({_key(name): gpu for gpu in GPUS for name in (gpu.name, *gpu.aliases)})
_NAMES = tuple(gpu.name for gpu in GPUS)
