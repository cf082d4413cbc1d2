"""Ports, GPUs, commands and units: what a chute gets of this machine, without a container tool."""

import configparser
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from chutes.chute.node_selector import NodeSelector
from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.local import find_runner, systemd_unit
from chutes.deploy.local.commands import front_words
from chutes.deploy.local.machine_share import can_bind, check_machine, free_port, share_gpus
from chutes.deploy.local.state import FrontState, State
from chutes.engines.hardware import Gpu, Hardware
from chutes.errors import DeployError

PLAN = Plan(
    username="me", name="words", image="me/words:1", source="/srv/my app/app.py", target="app.py:chute"
)


def machine(*names, memory=80):
    gpus = tuple(Gpu(name=name, memory_bytes=int(memory * 1e9)) for name in names)
    return Hardware(cores=8, memory_bytes=64_000_000_000, gpus=gpus)


def wish(**selector):
    return Resources.of(NodeSelector(**selector))


def test_a_product_is_found_in_the_catalogue_by_the_name_of_its_driver():
    check_machine(wish(include=["h100"]), machine("NVIDIA H100 80GB HBM3"))
    check_machine(wish(include=["4090"]), machine("NVIDIA GeForce RTX 4090"))
    with pytest.raises(DeployError, match="asks for a GPU with 16 GB or more"):
        check_machine(wish(include=["a100"]), machine("NVIDIA H100 80GB HBM3"))


def test_a_product_that_the_catalogue_does_not_know_does_where_any_would():
    unknown = machine("NVIDIA Z9", memory=48)
    check_machine(wish(min_vram_gb_per_gpu=40), unknown)
    with pytest.raises(DeployError, match="NVIDIA Z9 with 48 GB"):
        check_machine(wish(min_vram_gb_per_gpu=60), unknown)
    with pytest.raises(DeployError):
        check_machine(wish(include=["h100"]), unknown)


def test_each_instance_gets_gpus_of_its_own():
    four = machine("NVIDIA L4", "NVIDIA H100 80GB HBM3", "NVIDIA L4", "NVIDIA L4")
    two = wish(gpu_count=1, include=["l4"])
    assert share_gpus(two, four, 2, taken=()).gpus == ((0,), (2,))
    assert share_gpus(two, four, 2, taken=[0]).gpus == ((2,), (3,))
    assert share_gpus(two, four, 1, taken=[0], own=[2]).gpus == ((3,),)
    handed_over = share_gpus(two, four, 2, taken=[0], own=[2, 3])
    assert (handed_over.gpus, handed_over.waits) == (((2,), (3,)), True)
    with pytest.raises(DeployError, match="2 are free here"):
        share_gpus(two, four, 3, taken=[0], own=[2, 3])
    assert share_gpus(Resources(), four, 2, taken=()).gpus == ((), ())


def test_a_port_that_was_given_away_or_is_in_use_is_given_to_nobody_else():
    first = free_port((), of_chute=True)
    assert free_port({first}, of_chute=True) != first
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port(())))
        taken = listener.getsockname()[1]
        assert free_port(set(range(20_000, 30_000)) - {taken}, of_chute=True) != taken
        assert not can_bind("127.0.0.1", taken)
    with pytest.raises(DeployError, match="is free on"):
        free_port(range(8_000, 9_000), of_chute=True)


def test_a_front_has_no_more_rights_than_its_port_needs():
    front = FrontState(name="chutes.me.words.front-1", host="0.0.0.0", port=8100, control=20001, number=1)
    words = front_words(front, PLAN, Path("/srv/me/front"), Path("/srv/me"))
    assert "--read-only" in words
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert "--user" not in words
    low = front_words(replace(front, port=80), PLAN, Path("/srv/me/front"), Path("/srv/me"))
    assert low[low.index("--cap-add") + 1] == "NET_BIND_SERVICE"


def test_what_is_remembered_can_be_read_again_and_unknown_words_are_passed_over():
    front = FrontState(name="f", host="::", port=1, control=2, number=1)
    state = State(slug="me/words", host="::", port=1, front=front, secrets=(("A", "b"),))
    assert State.from_json(state.to_json().replace('"slug"', '"later": 1, "slug"')) == state
    with pytest.raises(DeployError, match="not what is kept"):
        State.from_json("[]")


def test_a_tool_that_runs_no_containers_or_is_not_there_is_refused(tmp_path):
    with pytest.raises(DeployError, match="runs no containers"):
        find_runner("buildah", print)
    with pytest.raises(DeployError, match="There is no program 'podman' here"):
        find_runner("podman", print, path=str(tmp_path))
    with pytest.raises(DeployError, match="Neither podman nor docker"):
        find_runner(None, print, path=str(tmp_path))
    (tmp_path / "docker").write_text("#!/bin/sh\necho said; cat; echo wrong >&2; exit 3\n")
    (tmp_path / "docker").chmod(0o755)
    shown = []
    runner = find_runner(None, shown.append, path=str(tmp_path))
    done = runner.run(["ps", "a b"], given="given", shown=True)
    assert (runner.name, done.code, done.output, done.error) == ("docker", 3, "said\ngiven", "wrong")
    assert shown == ["docker ps 'a b'"]
    assert sorted(runner.lines([["a"], ["b"]])) == [(0, "said"), (0, "wrong"), (1, "said"), (1, "wrong")]


def test_a_unit_runs_the_chute_from_its_file_and_holds_no_secret():
    plan = replace(
        PLAN,
        environment={"GREETING": 'it\'s "100%"'},
        secrets=(Secret(name="TOKEN"),),
        resources=Resources(cpu=1.5, memory_gb=2),
    )
    text = systemd_unit(plan, python="/opt/venv/bin/python", home=Path("/var/lib/chutes"), port=8100)
    unit = configparser.RawConfigParser(strict=False, delimiters="=")
    unit.optionxform = str
    unit.read_string(text)
    service = unit["Service"]
    assert service["ExecStart"] == (
        '"/opt/venv/bin/python" "-m" "chutes" "run" "/srv/my app/app.py:chute" "--host" "127.0.0.1" "--port" "8100"'
    )
    assert service["WorkingDirectory"] == "/srv/my app"
    assert 'Environment="GREETING=it\'s \\"100%%\\""' in text
    assert service["EnvironmentFile"] == "/etc/chutes/me.words.env"
    assert (service["CPUQuota"], service["MemoryMax"]) == ("150%", "2000000000")
    assert service["TimeoutStopSec"] == "45"
    assert "TOKEN" in text
