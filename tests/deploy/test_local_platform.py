"""The platform 'local', on a container tool that exists only in memory."""

import json
import socket
import threading
from dataclasses import replace

import pytest

from chutes.chute.node_selector import NodeSelector
from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.local import LocalPlatform, machine_share
from chutes.deploy.local.fake import FakeRunner
from chutes.deploy.local.state import Store
from chutes.engines.hardware import FakeHardware, Gpu, Hardware
from chutes.errors import DeployError

IMAGE = "me/words:1"
PLAN = Plan(username="me", name="words", image=IMAGE, drain_delay=1, shutdown_grace=2)
L4 = Gpu(name="NVIDIA L4", memory_bytes=24_000_000_000)
VALUE = "hunter2-the-value"


@pytest.fixture(params=["podman", "docker"])
def runner(request):
    fake = FakeRunner(request.param)
    yield fake
    fake.close()


@pytest.fixture
def podman():
    fake = FakeRunner()
    yield fake
    fake.close()


def free_port():
    # None of those that the system hands out: other tests would get it.
    return machine_share.free_port(())


def platform_on(runner, folder, **options):
    hardware = FakeHardware(Hardware(cores=8, memory_bytes=32_000_000_000, gpus=(L4, L4)))
    return LocalPlatform(runner, folder, **{"hardware": hardware, "ready_seconds": 30} | options)


def apply(platform, plan, note="deploy"):
    said = []
    return platform.apply(plan, note=note, say=said.append), said


def backends(folder):
    told = json.loads((folder / "deployments/me/words/front/backends.json").read_text())
    return [one["name"] for one in told["backends"]]


def running(fake):
    return sorted(one.name for one in fake.containers.values() if one.status == "running")


def test_a_first_deploy_starts_an_instance_and_a_front(runner, tmp_path):
    platform = platform_on(runner, tmp_path)
    made, _ = apply(platform, PLAN)

    assert running(runner) == ["chutes.me.words.1-1", "chutes.me.words.front-1"]
    assert backends(tmp_path) == ["chutes.me.words.1-1"]
    assert (made.current, made.ready, made.url) == (
        1,
        1,
        f"http://127.0.0.1:{Store(tmp_path).read(PLAN.slug).port}",
    )
    assert list(platform.deployments()) == [made]
    words = runner.containers["chutes.me.words.1-1"].words
    assert words[words.index("--restart") + 1] == "always"
    assert words[words.index("--stop-timeout") + 1] == "8"
    assert "chutes.me.words:/var/lib/chutes" in words
    assert {"chutes.me.words", "chutes.models"} == runner.volumes


def test_instances_publish_a_port_unless_the_tool_gives_them_the_machines_network(runner, tmp_path):
    apply(platform_on(runner, tmp_path / "own"), PLAN)
    words = runner.containers["chutes.me.words.1-1"].words
    assert words[words.index("--publish") + 1].startswith("127.0.0.1:")
    assert "CHUTES_HOST=0.0.0.0" in words
    runner.mode = "host"
    apply(platform_on(runner, tmp_path / "host"), replace(PLAN, name="others"))
    words = runner.containers["chutes.me.others.1-1"].words
    assert words[words.index("--network") + 1] == "host"
    assert "CHUTES_HOST=127.0.0.1" in words


def test_the_next_revision_takes_the_place_of_the_last_and_keeps_port_and_front(runner, tmp_path):
    first, _ = apply(platform_on(runner, tmp_path), PLAN)
    platform = platform_on(runner, tmp_path)
    second, said = apply(platform, replace(PLAN, image="me/words:2"))

    assert running(runner) == ["chutes.me.words.2-1", "chutes.me.words.front-1"]
    assert "chutes.me.words.1-1" not in runner.containers
    assert (second.url, second.current) == (first.url, 2)
    assert [one.outcome for one in second.revisions] == ["ready", "ready"]
    assert said[0].startswith("Revision 2 answers on http://127.0.0.1:")
    stops = [words for words in runner.commands if words[0] == "stop"]
    assert stops == [["stop", "-t", "8", "chutes.me.words.1-1"]]


def test_a_revision_that_ends_leaves_the_last_one_and_its_log_is_told(runner, tmp_path):
    apply(platform_on(runner, tmp_path), PLAN)
    platform = platform_on(runner, tmp_path)
    runner.broken["me/words:2"] = ["Traceback", "ImportError: no torch"]

    with pytest.raises(DeployError, match=r"(?s)exit code 1.*ImportError: no torch"):
        apply(platform, replace(PLAN, image="me/words:2"))

    assert running(runner) == ["chutes.me.words.1-1", "chutes.me.words.front-1"]
    assert backends(tmp_path) == ["chutes.me.words.1-1"]
    [now] = platform.deployments()
    assert (now.current, now.ready) == (1, 1)
    assert [(one.number, one.outcome) for one in now.revisions] == [(1, "ready"), (2, "failed")]
    third, _ = apply(platform, replace(PLAN, image="me/words:3"))
    assert third.current == 3


def test_a_first_revision_that_ends_leaves_nothing(runner, tmp_path):
    runner.broken[IMAGE] = ["no"]
    platform = platform_on(runner, tmp_path)
    with pytest.raises(DeployError):
        apply(platform, PLAN)
    assert not runner.containers
    assert "chutes.me.words" not in runner.volumes
    assert not platform.deployments()
    assert Store(tmp_path).slugs() == []


def test_a_change_of_the_number_starts_no_instance_anew(runner, tmp_path):
    apply(platform_on(runner, tmp_path), PLAN)
    platform = platform_on(runner, tmp_path)
    three, _ = apply(platform, PLAN.scaled(3), "scale to 3")
    assert (three.current, three.ready) == (2, 3)
    assert {one.revision for one in three.instances} == {2}
    names = ["chutes.me.words.1-1", "chutes.me.words.1-2", "chutes.me.words.1-3"]
    assert backends(tmp_path) == names
    apply(platform, PLAN.scaled(1), "scale to 1")
    assert backends(tmp_path) == names[:1]
    none, _ = apply(platform, PLAN.scaled(0), "scale to 0")
    assert running(runner) == ["chutes.me.words.front-1"]
    assert (none.instances, backends(tmp_path)) == ((), [])
    again, _ = apply(platform, PLAN, "scale by the load")
    assert again.ready == 1
    apply(platform, replace(PLAN, image="me/words:2"))
    assert running(runner) == ["chutes.me.words.6-1", "chutes.me.words.front-1"]


def test_states_are_what_the_tool_says(runner, tmp_path):
    apply(platform_on(runner, tmp_path), PLAN.scaled(2))
    platform = platform_on(runner, tmp_path)
    runner.crash("chutes.me.words.1-2")
    first, second = platform.deployments()[0].instances
    assert (first.state, second.state) == ("ready", "failed")
    assert second.detail == "it ended with exit code 137"
    runner.containers["chutes.me.words.1-2"].status = "restarting"
    runner.containers["chutes.me.words.1-2"].code = 0
    assert platform.deployments()[0].instances[1].detail == "it ended"
    del runner.containers["chutes.me.words.1-2"]
    assert platform.deployments()[0].instances[1].detail.startswith("its container is gone")
    runner.crash("chutes.me.words.front-1")
    assert "its front does not run" in platform.deployments()[0].instances[0].detail
    repaired, _ = apply(platform, PLAN.scaled(2))
    assert repaired.ready == 2


def test_what_a_killed_deploy_left_behind_goes_with_the_next_change(podman, tmp_path):
    apply(platform_on(podman, tmp_path), PLAN)
    for name, home in (("chutes.me.words.2-1", tmp_path), ("chutes.me.words.9-1", "/elsewhere")):
        words = ["run", "--name", name, "--env", f"CHUTES_PORT={free_port()}"]
        podman.run([*words, "--label", "chutes.slug=me/words", "--label", f"chutes.home={home}", IMAGE])
    apply(platform_on(podman, tmp_path), PLAN)
    assert running(podman) == ["chutes.me.words.2-1", "chutes.me.words.9-1", "chutes.me.words.front-1"]
    assert podman.containers["chutes.me.words.2-1"].label("chutes.revision") == "2"


def test_two_commands_do_not_change_one_chute_at_a_time(podman, tmp_path):
    platform = platform_on(podman, tmp_path)
    held, go = threading.Event(), threading.Event()

    def hold():
        with Store(tmp_path).changing(PLAN.slug):
            held.set()
            go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(30)
        with pytest.raises(DeployError, match="is being changed by another command"):
            apply(platform, PLAN)
    finally:
        go.set()
        holder.join()
    apply(platform, PLAN)


def test_a_port_that_is_in_use_is_refused_before_anything_starts(podman, tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(DeployError, match="Something listens on port"):
            apply(platform_on(podman, tmp_path, port=listener.getsockname()[1]), PLAN)
    assert not podman.containers


def test_another_port_brings_another_front(podman, tmp_path):
    apply(platform_on(podman, tmp_path), PLAN)
    port = free_port()
    moved, _ = apply(platform_on(podman, tmp_path, port=port), PLAN)
    assert moved.url == f"http://127.0.0.1:{port}"
    assert running(podman) == ["chutes.me.words.2-1", "chutes.me.words.front-2"]


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (Resources(cpu=64), "asks for 64 cores, and this machine has 8 cores"),
        (Resources(memory_gb=64), "asks for 64 GB of memory"),
        (Resources.of(NodeSelector(include=["h100"])), r"a GPU with 16 GB or more \(h100, .*has .*NVIDIA L4"),
        (Resources.of(NodeSelector(gpu_count=3, include=["l4"])), "asks for 3 GPUs"),
    ],
)
def test_what_nothing_here_satisfies_is_refused_with_what_is_there(podman, tmp_path, resources, text):
    with pytest.raises(DeployError, match=text):
        apply(platform_on(podman, tmp_path), replace(PLAN, resources=resources))
    assert not podman.commands


def test_gpus_are_given_to_one_chute_at_a_time(runner, tmp_path):
    wish = Resources.of(NodeSelector(gpu_count=1, include=["l4"], cpu=2, memory_gb=8))
    apply(platform_on(runner, tmp_path), replace(PLAN, resources=wish))
    words = runner.containers["chutes.me.words.1-1"].words
    gpus = ("--gpus", '"device=0"') if runner.name == "docker" else ("--device", "nvidia.com/gpu=0")
    for option, value in (gpus, ("--cpus", "2"), ("--memory", "8000000000b")):
        assert words[words.index(option) + 1] == value
    platform = platform_on(runner, tmp_path, port=free_port())
    apply(platform, replace(PLAN, name="others", resources=wish))
    with pytest.raises(DeployError, match="1 GPUs, and 0 are free here"):
        apply(platform_on(runner, tmp_path, port=free_port()), replace(PLAN, name="third", resources=wish))


def test_the_only_gpu_is_handed_over_and_handed_back(podman, tmp_path):
    plan = replace(PLAN, resources=Resources.of(NodeSelector(gpu_count=2, include=["l4"])))
    apply(platform_on(podman, tmp_path), plan)
    platform = platform_on(podman, tmp_path)
    _, said = apply(platform, replace(plan, image="me/words:2"))
    assert said[0].startswith("The GPUs are in use by what runs")
    podman.broken["me/words:3"] = ["out of memory"]
    with pytest.raises(DeployError, match="out of memory"):
        apply(platform, replace(plan, image="me/words:3"))
    assert running(podman) == ["chutes.me.words.2-1", "chutes.me.words.front-1"]


def test_values_of_secrets_are_nowhere_but_in_the_tool(runner, tmp_path):
    plan = replace(PLAN, secrets=(Secret(name="TOKEN"),))
    values = {"TOKEN": VALUE}
    options = {"value_of": lambda secret: values.get(secret.name)}
    _, said = apply(platform_on(runner, tmp_path, **options), plan)
    kept = [file.read_text() for file in tmp_path.rglob("*.json")]
    assert VALUE not in json.dumps([runner.commands, said, kept])
    words = runner.containers["chutes.me.words.1-1"].words
    if runner.name == "podman":
        [first] = runner.secrets
        assert runner.secrets[first] == VALUE
        assert f"{first},type=env,target=TOKEN" in words
    else:
        assert runner.containers["chutes.me.words.1-1"].variables["TOKEN"] == VALUE

    values.clear()
    apply(platform_on(runner, tmp_path, **options), replace(plan, image="me/words:2"))
    if runner.name == "podman":
        assert list(runner.secrets) == [first]
    else:
        assert runner.containers["chutes.me.words.2-1"].variables["TOKEN"] == VALUE
    values["TOKEN"] = "another"
    platform = platform_on(runner, tmp_path, **options)
    apply(platform, plan)
    if runner.name == "podman":
        assert list(runner.secrets.values()) == ["another"]
    platform.delete(PLAN.slug, data=True, say=said.append)
    assert not runner.secrets


def test_a_secret_without_a_value_is_refused(runner, tmp_path):
    plan = replace(PLAN, secrets=(Secret(name="TOKEN"),))
    with pytest.raises(DeployError, match="The secret TOKEN has no value"):
        apply(platform_on(runner, tmp_path, value_of=lambda _: None), plan)
    assert not runner.containers


def test_lines_of_several_instances_are_told_apart(podman, tmp_path):
    apply(platform_on(podman, tmp_path), PLAN.scaled(2))
    platform = platform_on(podman, tmp_path)
    both = [f"1-{n}  chutes.me.words.1-{n} says hello" for n in (1, 2)]
    assert list(platform.logs(PLAN.slug, lines=10, follow=False)) == both
    assert list(platform.logs(PLAN.slug, lines=10, follow=True)) == both
    assert list(platform.logs(PLAN.slug, lines=10, follow=False, instance="1-2")) == [
        "chutes.me.words.1-2 says hello"
    ]
    with pytest.raises(DeployError, match="has no instance '7'"):
        platform.logs(PLAN.slug, lines=1, follow=False, instance="7")
    with pytest.raises(DeployError, match="No chute 'me/other' runs here"):
        platform.logs("me/other", lines=1, follow=False)


def test_delete_keeps_the_data_unless_they_are_to_go_too(podman, tmp_path):
    apply(platform_on(podman, tmp_path), PLAN)
    platform, said = platform_on(podman, tmp_path), []
    platform.delete(PLAN.slug, data=False, say=said.append)
    assert not podman.containers
    assert "chutes.me.words" in podman.volumes
    assert said[-1] == "Deleted me/words. Its data are kept in the volume 'chutes.me.words'."
    apply(platform_on(podman, tmp_path, port=free_port()), PLAN)
    platform.delete(PLAN.slug, data=True, say=said.append)
    assert podman.volumes == {"chutes.models"}
    with pytest.raises(DeployError, match="No chute 'me/words' runs here"):
        platform.delete(PLAN.slug, data=True, say=said.append)
