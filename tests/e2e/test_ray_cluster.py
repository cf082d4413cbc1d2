"""Chutes on a real Ray cluster of three nodes: where they land, how they scale, and what they survive."""

import os
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from chutes.errors import DeployError
from support.child_processes import is_alive, wait_until
from support.ray_clusters import SECONDS, chutes_cluster, ray_python, status_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

APP = """
import asyncio
import os

from chutes import Chute, NodeSelector

chute = Chute(username="ray", name="NAME", image="python:3.11", OPTIONS)


@chute.cord("/who", method="GET")
async def who(self) -> dict:
    import ray

    node = ray.get_runtime_context().get_node_id()
    return {"pid": os.getpid(), "version": "VERSION", "node": node, "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", "")}


@chute.cord("/busy", method="GET")
async def busy(self) -> dict:
    await asyncio.sleep(0.05)
    return {"pid": os.getpid()}
"""
BROKEN = """

@chute.on_startup()
async def start(self):
    raise RuntimeError("the weights are no weights")
"""
QUICK = "drain_delay=1, shutdown_grace=5, max_queue=200"


@pytest.fixture
def write(tmp_path):
    """Writes a chute's file; returns it."""

    def written(name, options=QUICK, version="1", more=""):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        file = folder / "app.py"
        text = APP.replace("NAME", name).replace("OPTIONS", options).replace("VERSION", version)
        file.write_text(text + more)
        return file

    return written


@contextmanager
def deployed(cluster, file, **options):
    """The chute of a file, for a while."""
    platform, deployment = cluster.deploy(file, **options)
    try:
        yield platform, deployment
    finally:
        platform.delete(deployment.slug, data=True, say=str)


def who(deployment):
    with httpx2.Client(timeout=SECONDS, trust_env=False) as client:
        return client.get(f"{deployment.url}/who").raise_for_status().json()


def ready(platform, slug):
    return next((one.ready for one in platform.deployments() if one.slug == slug), 0)


class Load:
    """Clients that call one after the other until the block ends, each over a connection that it keeps."""

    def __init__(self, url, clients=4, path="/who"):
        self.url = url + path
        self.answers = Counter()
        self.versions = Counter()
        self.bodies = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answers.total() > 20, SECONDS)
        return self

    def __exit__(self, *error):
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self):
        return {status: count for status, count in self.answers.items() if status != 200}

    def more(self, count):
        """Waits for so many answers."""
        target = self.answers.total() + count
        wait_until(lambda: self.answers.total() >= target, SECONDS)

    def _call(self):
        with httpx2.Client(timeout=SECONDS, trust_env=False) as client:
            while not self._over.is_set():
                try:
                    answer = client.get(self.url)
                    self.answers[answer.status_code] += 1
                    if answer.is_success:
                        self.versions[answer.json().get("version")] += 1
                    else:
                        self.bodies[answer.text[:300]] += 1
                except httpx2.HTTPError as exc:
                    self.answers[repr(exc)] += 1
                time.sleep(0.01)


def test_status_tells_what_was_started(three_nodes):
    status = status_of(three_nodes)
    assert [(node["name"], node["gpu"], node["gpu_count"]) for node in status["nodes"]] == [
        ("head", None, 0), ("node-1", "h100", 2), ("node-2", "a10", 1),
    ]  # fmt: skip
    assert all(node["running"] for node in status["nodes"])
    assert Path(status["token_file"]).stat().st_mode & 0o077 == 0
    with three_nodes.client() as client:
        assert client.get(f"{status['dashboard']}/api/v0/nodes").status_code == 401


def test_a_second_cluster_is_not_started_beside_the_first(three_nodes):
    done = chutes_cluster(three_nodes.home, "up", "--python", ray_python(), check=False)
    assert done.returncode == 1
    assert f"chutes answer at {three_nodes.url}" in done.stderr


def test_chutes_land_on_the_nodes_that_their_selectors_ask_for(three_nodes, write):
    names = three_nodes.node_names()
    large = write("large", f"node_selector=NodeSelector(gpu_count=2, min_vram_gb_per_gpu=80), {QUICK}")
    small = write("small", f"node_selector=NodeSelector(include=['a10'], min_vram_gb_per_gpu=16), {QUICK}")
    with deployed(three_nodes, large) as (_, first), deployed(three_nodes, small) as (_, second):
        assert (names[who(first)["node"]], who(first)["gpus"]) == ("node-1", "0,1")
        assert (names[who(second)["node"]], who(second)["gpus"]) == ("node-2", "0")
        running = status_of(three_nodes)["applications"]
        assert (running["ray:large"], running["ray:small"]) == ("RUNNING", "RUNNING")


def test_a_selector_that_no_node_satisfies_is_refused_at_once(three_nodes, write):
    file = write("huge", "node_selector=NodeSelector(gpu_count=8, include=['b200'])")
    with pytest.raises(DeployError, match=r"(?s)8 GPUs.*h100"):
        three_nodes.deploy(file)
    assert "ray:huge" not in status_of(three_nodes)["applications"]


def test_an_idle_chute_goes_and_comes_back_with_a_call(three_nodes, write):
    file = write("sleeper", f"shutdown_after_seconds=2, max_instances=3, concurrency=1, {QUICK}")
    with deployed(three_nodes, file) as (platform, deployment):
        assert who(deployment)["version"] == "1"
        wait_until(lambda: ready(platform, deployment.slug) == 0, SECONDS)

        assert who(deployment)["version"] == "1"

        # Each answers one call at a time, and takes 50 ms for it.
        with Load(deployment.url, clients=12, path="/busy") as load:
            wait_until(lambda: ready(platform, deployment.slug) > 1, SECONDS)
        assert not load.failed, load.bodies


def test_no_call_fails_while_a_new_revision_takes_over(three_nodes, write):
    with deployed(three_nodes, write("rolling", f"max_instances=2, {QUICK}"), instances=2) as (_, deployment):
        with Load(deployment.url) as load:
            three_nodes.deploy(write("rolling", f"max_instances=2, {QUICK}", version="2"), instances=2)
            load.more(50)
        assert not load.failed, load.bodies
        assert load.versions["1"]
        assert load.versions["2"]
        assert who(deployment)["version"] == "2"


def test_a_killed_replica_costs_only_the_calls_that_it_had(three_nodes, write):
    with deployed(three_nodes, write("victim", f"max_instances=2, {QUICK}"), instances=2) as (
        platform,
        deployment,
    ):
        with Load(deployment.url) as load:
            killed = who(deployment)["pid"]
            os.kill(killed, signal.SIGKILL)
            load.more(100)
            wait_until(lambda: ready(platform, deployment.slug) == 2, SECONDS)
        assert sum(load.failed.values()) <= 4 * 2, load.failed
        with three_nodes.client() as client:
            found = [client.get(f"{deployment.url}/who") for _ in range(10)]
        assert {answer.status_code for answer in found} == {200}
        assert killed not in {answer.json()["pid"] for answer in found}


def test_a_revision_that_never_gets_ready_is_taken_back(three_nodes, write):
    with deployed(three_nodes, write("careful")) as (platform, deployment):
        with pytest.raises(DeployError, match="the weights are no weights"):
            three_nodes.deploy(write("careful", version="2", more=BROKEN))
        assert who(deployment)["version"] == "1"
        (found,) = platform.deployments()
        assert [revision.outcome for revision in found.revisions] == ["ready", "failed"]


def test_chutes_answer_while_the_controller_starts_again(three_nodes, write):
    with deployed(three_nodes, write("steady")) as (_, deployment):
        (controller,) = three_nodes.pids("ServeController")
        with Load(deployment.url) as load:
            os.kill(controller, signal.SIGKILL)
            load.more(100)
            wait_until(lambda: set(three_nodes.pids("ServeController")) - {controller}, SECONDS)
        assert not load.failed
        three_nodes.deploy(write("steady", version="2"))
        assert who(deployment)["version"] == "2"


def test_a_chute_returns_when_a_node_has_room_for_it_again(three_nodes, write):
    file = write("homeless", f"node_selector=NodeSelector(include=['a10'], min_vram_gb_per_gpu=16), {QUICK}")
    with deployed(three_nodes, file, instances=1) as (_, deployment):
        before = who(deployment)["pid"]
        start_again = three_nodes.start_again("node-2")
        os.kill(three_nodes.node("node-2").pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(before), SECONDS)
        assert not status_of(three_nodes)["nodes"][2]["running"]

        process = start_again()
        try:
            wait_until(lambda: answers(deployment), SECONDS)
            assert three_nodes.node_names()[who(deployment)["node"]] == "node-2"
            assert who(deployment)["pid"] != before
        finally:
            process.returncode = 0


def answers(deployment):
    with httpx2.Client(timeout=10, trust_env=False) as client:
        try:
            return client.get(f"{deployment.url}/who").is_success
        except httpx2.HTTPError:
            return False
