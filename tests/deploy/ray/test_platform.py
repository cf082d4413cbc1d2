"""A Ray cluster as a platform, over its dashboard's HTTP API."""

import io
import json
import threading
import zipfile
from dataclasses import replace

import pytest

from chutes.build import make_context
from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.ray import RayPlatform
from chutes.deploy.service import deploy, rollback, scale
from chutes.errors import DeployError
from chutes.loading import load
from support.http_servers import asgi_server
from support.ray_dashboard import TOKEN, FakeRay, node

PLAN = Plan(username="me", name="hello", image="", digest="a" * 64, target="app.py:chute", max_instances=4)
OTHER = {
    "name": "theirs",
    "import_path": "theirs:app",
    "route_prefix": "/theirs",
    "deployments": [{"name": "x"}],
}


class Said(list):
    def __call__(self, text):
        self.append(text)


@pytest.fixture
def ray():
    return FakeRay()


@pytest.fixture
def address(ray):
    with asgi_server(ray) as address:
        yield address


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    file = tmp_path_factory.mktemp("chute") / "app.py"
    file.write_text(
        "from chutes import Chute\nchute = Chute(username='me', name='hello', image='python:3.11')\n"
    )
    return make_context(load(f"{file}:chute"))


@pytest.fixture
def platform(address, context):
    return RayPlatform(address=address, token=TOKEN, context=context, timeout=10)


@pytest.fixture
def elsewhere(address):
    """The same cluster from a machine that has neither files nor secrets."""
    return RayPlatform(address=address, token=TOKEN, timeout=10)


@pytest.fixture
def said():
    return Said()


def test_a_chute_runs_as_an_application_of_its_own(platform, ray, said):
    done = platform.apply(PLAN, note="deploy", say=said)
    assert (done.slug, done.current, done.ready) == ("me/hello", 1, 1)
    assert ray.running["me:hello"]["route_prefix"] == "/me/hello"
    assert done.url is not None
    assert done.url.endswith(":8000/me/hello")
    assert said[-1] == "Revision 1 of me/hello is ready."


def test_an_instance_stands_on_a_node_by_its_name(platform, ray, said):
    assert [one.place for one in platform.apply(PLAN, note="deploy", say=said).instances] == ["at-10.0.0.1"]
    ray.rows = []
    assert [one.place for one in platform.deployments()[0].instances] == ["10.0.0.1"]


def test_one_replica_has_to_start_before_an_idle_chute_may_have_none(platform, ray, said):
    platform.apply(replace(PLAN, min_instances=0), note="deploy", say=said)
    least = [
        one["applications"][0]["deployments"][0]["autoscaling_config"]["min_replicas"]
        for one in ray.documents
    ]
    assert least == [1, 0]


def test_the_files_and_the_framework_are_sent(platform, ray, said):
    platform.apply(PLAN, note="deploy", say=said)
    environment = ray.running["me:hello"]["runtime_env"]
    files = ray.packages[environment["working_dir"].removeprefix("gcs://")]
    framework = ray.packages[environment["py_modules"][0].removeprefix("gcs://")]
    assert zipfile.ZipFile(io.BytesIO(files)).namelist() == ["app.py"]
    assert "chutes/deploy/ray/replica.py" in zipfile.ZipFile(io.BytesIO(framework)).namelist()


def test_applications_of_others_stay(platform, ray, said):
    ray.running = {"theirs": OTHER, "by-code": {}}
    ray.by_code = {"by-code"}
    platform.apply(PLAN, note="deploy", say=said)
    assert set(ray.running) == {"theirs", "by-code", "me:hello"}
    assert ray.running["theirs"] == OTHER
    platform.delete("me/hello", data=False, say=said)
    assert set(ray.running) == {"theirs", "by-code"}
    assert platform.deployments() == []


def test_an_application_that_somebody_wrote_over_is_sent_again(platform, ray, said):
    ray.after_next_put = lambda: ray.running.pop("me:hello")
    platform.apply(PLAN, note="deploy", say=said)
    assert platform.deployments()[0].current == 1


def test_the_old_replicas_go_first_where_no_node_has_room_for_one_more(platform, ray, said):
    platform.apply(PLAN, note="deploy", say=said)
    ray.full = True
    platform.apply(replace(PLAN, digest="b" * 64), note="deploy", say=said)
    assert "No node has room for one more replica: the old ones stop first, and calls wait meanwhile." in said
    surges = [one["applications"][0]["deployments"][0]["max_surge_percent"] for one in ray.documents]
    assert surges == [25, 25, 25, 0, 25]


def test_a_cluster_that_makes_nodes_keeps_the_old_replicas_until_there_is_room(platform, ray, said):
    ray.types = {"10.0.0.1": "workers"}
    platform.apply(PLAN, note="deploy", say=said)
    ray.full = True
    nodes_come = threading.Timer(1, ray.__setattr__, ("full", False))
    ray.after_next_put = nodes_come.start
    platform.apply(replace(PLAN, digest="b" * 64), note="deploy", say=said)
    nodes_come.join()
    assert not any("No node has room" in line for line in said)


def test_a_revision_that_fails_is_taken_back(platform, ray, said):
    platform.apply(PLAN, note="deploy", say=said)
    ray.fails["bad.py:chute"] = (
        "Traceback\nchutes.errors.StartupError: The startup hook 'up' failed: no weights"
    )
    with pytest.raises(
        DeployError, match="did not get ready: The startup hook 'up' failed: no weights"
    ) as raised:
        platform.apply(replace(PLAN, digest="b" * 64, target="bad.py:chute"), note="deploy", say=said)
    assert str(raised.value).endswith("The last lines of its log:\na line of its log\na line of its log")
    [there] = platform.deployments()
    assert there.current == 1
    assert [one.outcome for one in there.revisions] == ["ready", "failed"]
    assert ray.running["me:hello"]["args"]["target"] == "app.py:chute"


def test_a_first_revision_that_fails_leaves_nothing(platform, ray, said):
    ray.fails["app.py:chute"] = "chutes.errors.LoadError: app.py, line 1: no module 'torch'"
    with pytest.raises(DeployError, match="line 1: no module 'torch'"):
        platform.apply(PLAN, note="deploy", say=said)
    assert ray.running == {}


def test_scaling_and_going_back_need_no_files(platform, elsewhere, ray, said):
    deploy(platform, PLAN, say=said)
    before = ray.running["me:hello"]
    scaled = scale(elsewhere, "hello", 3, say=said).deployment
    assert (scaled.plan.instances, scaled.ready) == (3, 3)
    # A change of these would have Serve start every replica anew.
    for part in ("args", "runtime_env", "import_path"):
        assert ray.running["me:hello"][part] == before[part]
    assert rollback(elsewhere, "hello", 1, say=said).deployment.plan.instances is None


def test_a_chute_that_is_scaled_to_0_cannot_be_woken(platform, elsewhere, ray, said):
    deploy(platform, PLAN, say=said)
    stopped = scale(elsewhere, "hello", 0, say=said).deployment
    assert (stopped.ready, stopped.url) == (0, None)
    assert ray.running["me:hello"]["route_prefix"] is None


def test_the_value_of_a_secret_is_in_no_configuration(address, context, elsewhere, ray, said):
    plan = replace(PLAN, secrets=(Secret(name="API_TOKEN"),))
    with_value = RayPlatform(
        address=address, token=TOKEN, context=context, secrets={"API_TOKEN": "swordfish"}, timeout=10
    )
    with_value.apply(plan, note="deploy", say=said)
    assert "swordfish" not in json.dumps([ray.documents, said])
    uri = ray.running["me:hello"]["args"]["secrets"]
    content = zipfile.ZipFile(io.BytesIO(ray.packages[uri.removeprefix("gcs://")]))
    assert json.loads(content.read("secrets.json")) == {"API_TOKEN": "swordfish"}
    scale(elsewhere, "hello", 2, say=said)
    assert ray.running["me:hello"]["args"]["secrets"] == uri


def test_a_secret_that_nobody_has_is_asked_for(platform, said):
    with pytest.raises(
        DeployError, match="Neither this machine nor the cluster has a value for the secrets: KEY"
    ):
        platform.apply(replace(PLAN, secrets=(Secret(name="KEY"),)), note="deploy", say=said)


def test_files_that_the_cluster_does_not_have_are_asked_for(elsewhere, said):
    with pytest.raises(DeployError, match="Deploy it from its file"):
        elsewhere.apply(PLAN, note="deploy", say=said)


@pytest.mark.parametrize(
    ("part", "version", "told"),
    [
        ("ray", "2.9.3", r"runs Ray 2\.9\.3, and chutes need 2\.60"),
        ("python", "3.10.2", r"runs Python 3\.10\.2"),
    ],
)
def test_a_version_that_will_not_do_is_told_before_anything_is_sent(platform, ray, said, part, version, told):
    setattr(ray, part, version)
    with pytest.raises(DeployError, match=told):
        platform.apply(PLAN, note="deploy", say=said)
    assert (ray.packages, ray.documents) == ({}, [])


def test_a_selector_that_no_node_satisfies_is_refused_with_what_there_is(platform, ray, said):
    ray.rows = [
        node("10.0.0.1", CPU=8.0),
        node("10.0.0.2", {"ray.io/accelerator-type": "A10"}, CPU=8.0, GPU=2.0),
    ]
    plan = replace(PLAN, resources=Resources(gpu_count=1, gpus=("h100", "h100_sxm"), min_vram_gb=80))
    with pytest.raises(DeployError, match=r"10\.0\.0\.2: 8 CPUs, 64 GB, 2 GPUs \(A10\)"):
        platform.apply(plan, note="deploy", say=said)
    assert (ray.packages, ray.documents) == ({}, [])


def test_a_cluster_that_starts_nodes_by_itself_is_asked_for_one(platform, ray, said):
    ray.types = {"n1": "small-group"}
    ray.rows = [node("10.0.0.1", CPU=0.5)]
    assert platform.apply(PLAN, note="deploy", say=said).current == 1
    assert "its autoscaler is asked for one" in said[0]


@pytest.mark.parametrize(
    ("token", "told"), [(None, "asks for a token"), ("wrong", "does not take this token")]
)
def test_a_cluster_that_wants_another_token_says_which(address, token, told):
    with pytest.raises(DeployError, match=f"{told}.*RAY_AUTH_TOKEN"):
        RayPlatform(address=address, token=token).deployments()


def test_a_cluster_that_does_not_answer_is_told():
    with pytest.raises(DeployError, match=r"No Ray cluster answers at http://127\.0\.0\.1:1"):
        RayPlatform(address="http://127.0.0.1:1").deployments()


def test_the_log_of_a_replica_is_read(platform, said):
    platform.apply(replace(PLAN, instances=2), note="deploy", say=said)
    lines = list(platform.logs("me/hello", lines=1, follow=False))
    assert lines == ["replica-0 | a line of its log", "replica-1 | a line of its log"]
    assert list(platform.logs("me/hello", lines=1, follow=False, instance="replica-1")) == [
        "a line of its log"
    ]
    with pytest.raises(DeployError, match="There is no instance 'x'"):
        list(platform.logs("me/hello", lines=1, follow=False, instance="x"))
