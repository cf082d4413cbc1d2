"""Which nodes a node selector takes, and what is said when none has what it asks for."""

import pytest

from chutes.chute import NodeSelector
from chutes.chute.gpus import GPUS
from chutes.deploy import Resources
from chutes.deploy.kubernetes.nodes import check_nodes
from chutes.deploy.kubernetes.scheduling import container_resources, node_terms, tolerations
from chutes.errors import DeployError


def resources(**selector):
    return Resources.of(NodeSelector(**selector))


def node(
    name="n", *, gpus=0, product=None, memory=None, cpu="8", main="32Gi", kind="nvidia.com/gpu", closed=False
):
    labels = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": memory}
    return {
        "metadata": {"name": name, "labels": {key: str(value) for key, value in labels.items() if value}},
        "spec": {"unschedulable": closed},
        "status": {"allocatable": {"cpu": cpu, "memory": main, kind: str(gpus)}},
    }


T4 = {"product": "Tesla-T4", "memory": 15109}
A100 = {"product": "NVIDIA-A100-SXM4-40GB", "memory": 39538}


def test_a_chute_without_gpus_takes_any_node():
    assert node_terms(resources(gpu_count=0)) == []
    assert tolerations(resources(gpu_count=0)) == []
    assert container_resources(resources(gpu_count=0)) == {"requests": {"cpu": "500m"}}


def test_processors_are_asked_for_and_memory_is_a_limit_too():
    asked = container_resources(resources(gpu_count=0, cpu=0.25, memory_gb=1.5))

    assert asked == {"requests": {"cpu": "250m", "memory": "1500M"}, "limits": {"memory": "1500M"}}


def test_gpus_are_a_limit_and_open_the_nodes_that_are_closed_to_others():
    asked = resources(gpu_count=2)

    assert container_resources(asked)["limits"]["nvidia.com/gpu"] == "2"
    assert tolerations(asked)[0]["key"] == "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("least", "reported", "fits"),
    [
        (16, 15109, True),  # a T4, the lowest of all by what it is sold with
        (24, 23028, True),  # an A10G
        (40, 39538, True),
        (80, 81559, True),
        (192, 183359, True),  # a B200
        (16, 12288, False),
        (24, 20470, False),
        (48, 32607, False),
        (80, 65536, False),
        (96, 81559, False),
    ],
)
def test_memory_is_compared_as_cards_are_sold_and_drivers_report(least, reported, fits):
    asked = resources(min_vram_gb_per_gpu=least)
    found = [node(gpus=1, memory=reported, product="A-Card-Of-Next-Year")]

    if fits:
        check_nodes(asked, found)
    else:
        with pytest.raises(DeployError):
            check_nodes(asked, found)


def test_names_that_are_included_are_products_and_few_that_are_left_out_are_excluded():
    def operators(**selector):
        return {term["key"].split(".")[-1]: term["operator"] for term in node_terms(resources(**selector))}

    assert operators(min_vram_gb_per_gpu=24) == {"memory": "Gt"}
    assert operators(include=["h100"]) == {"memory": "Gt", "product": "In"}
    assert operators(exclude=["t4"]) == {"memory": "Gt", "product": "NotIn"}
    assert operators(min_vram_gb_per_gpu=0) == {}


def test_a_card_that_is_excluded_is_so_when_it_is_shared():
    (term,) = [one for one in node_terms(resources(exclude=["t4"])) if one["operator"] == "NotIn"]

    assert {"Tesla-T4", "Tesla-T4-SHARED"} <= set(term["values"])


def test_amds_gpus_are_asked_for_by_their_own_name_and_label():
    asked = resources(include=["mi300x"], min_vram_gb_per_gpu=0)

    assert container_resources(asked)["limits"] == {"amd.com/gpu": "1"}
    (term,) = node_terms(asked)
    assert (term["key"], term["operator"]) == ("amd.com/gpu.product-name", "In")


def test_a_gpu_that_no_label_tells_is_refused():
    with pytest.raises(DeployError, match="mi100"):
        node_terms(resources(include=["mi100"], min_vram_gb_per_gpu=0))


@pytest.mark.parametrize("gpu", [gpu for gpu in GPUS if gpu.vendor == "nvidia"], ids=lambda gpu: gpu.name)
def test_every_card_of_nvidias_in_the_catalogue_finds_its_node(gpu):
    asked = resources(include=[gpu.name], min_vram_gb_per_gpu=gpu.vram_gb)
    for product in gpu.products:
        check_nodes(asked, [node(gpus=1, product=product, memory=int(gpu.vram_gb * 944))])


@pytest.mark.parametrize(
    ("selector", "nodes"),
    [
        ({"include": ["h100"]}, [node(gpus=8, **T4), node(gpus=4, **A100)]),
        ({"exclude": ["t4"]}, [node(gpus=8, **T4)]),
        ({"gpu_count": 4}, [node(gpus=2, **A100)]),
        ({"gpu_count": 1}, [node(gpus=2, closed=True, **A100)]),
        ({"gpu_count": 0, "cpu": 8}, [node(cpu="7910m")]),
        ({"gpu_count": 0, "memory_gb": 40}, [node(main="32Gi")]),
    ],
)
def test_a_selector_that_no_node_satisfies_is_told_what_there_is(selector, nodes):
    with pytest.raises(DeployError, match=r"There are:\n  n: ") as caught:
        check_nodes(resources(**selector), nodes)

    assert "cores" in str(caught.value)


def test_one_node_that_fits_is_enough_and_none_at_all_says_nothing():
    check_nodes(
        resources(include=["a100_40gb"], cpu=4, memory_gb=30), [node(gpus=8, **T4), node(gpus=1, **A100)]
    )
    check_nodes(resources(gpu_count=8), [])


def test_nodes_without_the_labels_are_told_what_sets_them():
    with pytest.raises(DeployError, match="feature discovery"):
        check_nodes(resources(gpu_count=1), [node(gpus=2)])
