"""The nodes of a cluster on one machine."""

import pytest

from chutes.deploy.cluster.nodes import machine_nodes, parse_node, recognised
from chutes.engines.hardware import Gpu, Hardware
from chutes.errors import DeployError

LAPTOP = Hardware(cores=4, memory_bytes=16 * 10**9)
H100, L4 = (
    Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=80 * 10**9),
    Gpu(name="NVIDIA L4", memory_bytes=24 * 10**9),
)


def test_words_describe_a_node():
    node = parse_node("gpu=RTX 4090,count=2,cpu=8,memory=64,label=zone:a", cpu=1)
    assert (node.gpu, node.gpu_count, node.cpu, node.memory) == ("4090", 2, 8, 64 * 10**9)
    assert node.all_labels == {
        "chutes.gpu": "4090",
        "ray.io/accelerator-type": "GeForce-RTX-4090",
        "zone": "a",
    }


def test_a_node_with_a_gpu_has_one_of_it_and_the_cores_of_the_machine():
    node = parse_node("gpu=h100", cpu=4)
    assert (node.gpu_count, node.cpu) == (1, 4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gpus=h100", "Did you mean 'gpu'"),
        ("gpu", "says nothing of a node"),
        ("gpu=h1000x", "Unknown GPU 'h1000x'"),
        ("count=1.5", "count=1.5 is no number"),
        ("cpu=-1", "cpu=-1 is no number"),
        ("cpu=many", "cpu=many is no number"),
    ],
)
def test_words_that_describe_none_are_refused(text, told):
    with pytest.raises(DeployError, match=told):
        parse_node(text, cpu=1)


def test_a_machine_without_gpus_is_one_node():
    (head,) = machine_nodes(LAPTOP)
    assert (head.name, head.cpu, head.gpu_count) == ("head", 4, 0)


def test_gpus_of_one_kind_stand_in_one_node():
    machine = Hardware(cores=32, memory_bytes=10**12, gpus=(H100, L4, H100))
    nodes = machine_nodes(machine, 1, [parse_node("gpu=a10", cpu=2)])
    assert [(node.name, node.gpu, node.gpu_count, node.devices) for node in nodes] == [
        ("head", "h100_sxm", 2, (0, 2)),
        ("node-1", "l4", 1, (1,)),
        ("node-2", "a10", 1, ()),
    ]


def test_plain_nodes_fill_up_to_what_is_wanted():
    assert [node.name for node in machine_nodes(LAPTOP, 3)] == ["head", "node-1", "node-2"]


def test_a_gpu_is_known_by_the_name_that_its_driver_tells():
    assert recognised("NVIDIA A100-SXM4-40GB").name == "a100_40gb_sxm"
    assert recognised("NVIDIA GeForce RTX 4090").name == "4090"
    assert recognised("Somebody's GPU") is None
