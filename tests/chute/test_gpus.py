import dataclasses
import re
from pathlib import Path

import pytest

from chutes.chute.gpus import GPUS, find_gpu
from chutes.errors import DefinitionError

PUBLIC_PLATFORM = (
    "3090",
    "4090",
    "5090",
    "a4000",
    "a4000_ada",
    "a5000",
    "a6000",
    "a6000_ada",
    "pro_6000",
    "l4",
    "a10",
    "a40",
    "l40",
    "l40s",
    "a100_40gb",
    "a100_40gb_sxm",
    "a100",
    "a100_sxm",
    "h100",
    "h100_nvl",
    "h100_sxm",
    "h800",
    "h20",
    "h200",
    "mi300x",
    "b200",
    "b300",
)


@pytest.mark.parametrize("name", PUBLIC_PLATFORM)
def test_every_gpu_of_the_public_platform_is_known_by_its_name_there(name):
    assert find_gpu(name).name == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("t4", "t4"),
        ("Tesla T4", "t4"),
        ("v100", "v100"),
        ("rtx4090", "4090"),
        ("rtx_4090", "4090"),
        ("RTX 4090", "4090"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("rtx3060", "3060"),
        ("RTX 3090 Ti", "3090_ti"),
        (4090, "4090"),
        ("a100-80gb", "a100"),
        ("a100_80gb", "a100"),
        ("A100-SXM4-80GB", "a100_sxm"),
        ("a100-40gb", "a100_40gb"),
        ("h100-sxm", "h100_sxm"),
        ("H100 NVL", "h100_nvl"),
        ("RTX A6000", "a6000"),
        ("rtx-6000-ada", "a6000_ada"),
        ("RTX PRO 6000", "pro_6000"),
        ("AMD Instinct MI300X", "mi300x"),
        ("GB200", "gb200"),
        ("a10g", "a10g"),
        ("p100", "p100"),
    ],
)
def test_spelling_and_common_names_lead_to_one_gpu(written, name):
    assert find_gpu(written).name == name


@pytest.mark.parametrize(
    ("written", "suggestion"), [("h1000", "h100"), ("rtx 4095", "4090"), ("A100O", "a100"), ("l40x", "l40")]
)
def test_an_unknown_gpu_names_the_nearest_and_says_where_the_catalogue_is(written, suggestion):
    with pytest.raises(DefinitionError) as caught:
        find_gpu(written)
    assert f"Unknown GPU {written!r}. Did you mean {suggestion!r}" in str(caught.value)
    assert "docs/node-selectors.md" in str(caught.value)


@pytest.mark.parametrize("written", ["", "rtx", "nvidia", None, True, "a100\n; rm"])
def test_what_names_no_gpu_raises_the_same_error(written):
    with pytest.raises(DefinitionError, match="Unknown GPU"):
        find_gpu(written)


def test_no_two_gpus_share_a_name_an_alias_or_a_product():
    names = [name for gpu in GPUS for name in (gpu.name, *gpu.aliases)]
    assert all(find_gpu(name).name == gpu.name for gpu in GPUS for name in (gpu.name, *gpu.aliases))
    products = [product for gpu in GPUS for product in gpu.products]
    assert len(set(names)) == len(names)
    assert len(set(products)) == len(products)


def test_a_variant_belongs_to_a_gpu_that_exists_and_has_no_less_memory():
    variants = [gpu for gpu in GPUS if gpu.variant_of]
    assert variants
    for gpu in variants:
        assert gpu.vram_gb >= find_gpu(gpu.variant_of).vram_gb
        assert find_gpu(gpu.variant_of).variant_of is None


def test_products_are_valid_label_values():
    for gpu in GPUS:
        for product in gpu.products:
            assert len(product) <= 63
            assert product.replace("-", "").replace("_", "").isalnum()


def test_a_gpu_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_gpu("t4").vram_gb = 80


def test_facts_that_clusters_depend_on():
    assert find_gpu("h100_sxm").products == ("NVIDIA-H100-80GB-HBM3",)
    assert find_gpu("h100_sxm").accelerator_type == "H100"
    assert find_gpu("4090").products == ("NVIDIA-GeForce-RTX-4090",)
    assert find_gpu("mi300x").vendor == "amd"
    assert find_gpu("t4").vram_gb == 16


def test_the_table_of_the_docs_is_the_catalogue():
    page = (Path(__file__).parents[2] / "docs" / "node-selectors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    shown = [
        (name, int(gb), *[tuple(re.findall("`(.*?)`", cell)) for cell in cells]) for name, gb, *cells in rows
    ]

    def some(value):
        return (value,) if value else ()

    assert shown == [
        (gpu.name, gpu.vram_gb, some(gpu.variant_of), gpu.aliases, gpu.products, some(gpu.accelerator_type))
        for gpu in GPUS
    ]
