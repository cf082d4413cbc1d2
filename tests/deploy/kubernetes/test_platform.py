"""Deploying with the real kubectl, to an API that keeps objects and runs pods as a cluster would."""

import dataclasses
import json

import pytest

from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.kubernetes import KubernetesPlatform, ManifestOptions, find_kubectl
from chutes.errors import DeployError
from support.kubernetes_api import KubernetesApi
from support.kubernetes_tools import kubernetes_tool

pytestmark = pytest.mark.slow

PLAN = Plan(username="me", name="echo", image="a/b:1", target="app.py:chute", max_instances=3)


class Cluster:
    """A platform on a cluster, and what was said."""

    def __init__(self, api, values):
        self.api, self.objects, self.values = api, api.cluster.objects, values
        self.said = []
        self.platform = KubernetesPlatform(
            kubectl=find_kubectl(self.said.append, program=kubernetes_tool("kubectl")),
            value_of=lambda secret: values.get(secret.name),
            pause=0.05,
        )

    def apply(self, note="deploy", options=None, **changes):
        platform = dataclasses.replace(self.platform, options=options)
        return platform.apply(dataclasses.replace(PLAN, **changes), note=note, say=self.said.append)

    def has(self, plural):
        return self.api.cluster.names(plural)

    def deployment(self):
        return self.objects["deployments", "me-echo"]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    with KubernetesApi() as api:
        file = tmp_path / "configuration"
        file.write_text(json.dumps(api.configuration()))
        monkeypatch.setenv("KUBECONFIG", str(file))
        # Where kubectl keeps what it learns of an API.
        monkeypatch.setenv("KUBECACHEDIR", str(tmp_path / "cache"))
        yield Cluster(api, {"TOKEN": "the-value"})


def test_a_chute_is_deployed_scaled_brought_back_and_deleted(cluster):
    first = cluster.apply()

    assert (first.slug, first.current, first.ready, first.url) == ("me/echo", 1, 1, None)
    assert cluster.has("horizontalpodautoscalers") == ["me-echo"]
    (pod,) = cluster.has("pods")

    scaled = cluster.apply(note="scale to 2", instances=2)

    assert (scaled.current, scaled.ready) == (2, 2)
    assert cluster.has("horizontalpodautoscalers") == []
    assert pod in cluster.has("pods"), "A pod whose template is the same stays."
    assert {one.revision for one in scaled.instances} == {2}

    again = cluster.apply(note="scale by the load")

    # Left out, the number would have fallen to 1 until the load is known.
    assert (again.ready, cluster.deployment()["spec"]["replicas"]) == (2, 2)
    assert cluster.has("horizontalpodautoscalers") == ["me-echo"]
    assert [one.note for one in again.revisions] == ["deploy", "scale to 2", "scale by the load"]

    cluster.platform.delete("me/echo", data=True, say=cluster.said.append)

    assert cluster.objects == {}
    assert list(cluster.platform.deployments()) == []


def test_a_revision_that_does_not_get_ready_is_taken_back_and_its_last_lines_are_told(cluster):
    cluster.apply()
    (pod,) = cluster.has("pods")
    cluster.api.cluster.broken = True
    cluster.api.cluster.lines["*"] = ["Traceback", "ImportError: no module"]

    with pytest.raises(DeployError, match="Revision 2 of me/echo did not get ready") as caught:
        cluster.apply(image="a/b:2", egress=False)

    text = str(caught.value)
    assert "exit code 1" in text
    assert "ImportError: no module" in text
    assert "Revision 1 goes on." in text
    (now,) = cluster.platform.deployments()
    assert (now.current, [one.outcome for one in now.revisions], now.ready) == (1, ["ready", "failed"], 1)
    assert cluster.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "a/b:1"
    assert cluster.has("networkpolicies") == []
    assert cluster.has("pods") == [pod], "What ran before was never touched."


def test_a_first_revision_that_does_not_get_ready_leaves_nothing(cluster):
    cluster.api.cluster.broken = True

    with pytest.raises(DeployError, match="Nothing ran before it"):
        cluster.apply(secrets=(Secret(name="TOKEN"),))

    assert cluster.objects == {}


def test_the_value_of_a_secret_is_in_its_object_alone(cluster):
    cluster.apply(secrets=(Secret(name="TOKEN"),))

    secret = cluster.objects["secrets", "me-echo-secrets"]
    assert secret["data"] == {"TOKEN": "dGhlLXZhbHVl"}
    sent = [body for _, path, body in cluster.api.requests if "/secrets/" not in path]
    everything = json.dumps([sent, cluster.said, cluster.deployment()])
    assert "the-value" not in everything
    assert "dGhlLXZhbHVl" not in everything


def test_pods_are_made_anew_when_a_secret_has_another_value_and_only_then(cluster):
    secrets = (Secret(name="TOKEN"),)
    cluster.apply(secrets=secrets)
    first = cluster.has("pods")

    # The machine that scales may not know the value.
    del cluster.values["TOKEN"]
    cluster.apply(secrets=secrets, note="rollback to 1")
    assert cluster.has("pods") == first

    cluster.values["TOKEN"] = "another"
    cluster.apply(secrets=secrets)
    assert cluster.has("pods") != first


def test_a_secret_without_any_value_is_refused_before_anything_is_sent(cluster):
    with pytest.raises(DeployError, match="No value for NOWHERE"):
        cluster.apply(secrets=(Secret(name="NOWHERE"),))

    assert cluster.api.requests == []


def test_a_selector_that_no_node_satisfies_is_refused_with_what_there_is(cluster):
    node = {"allocatable": {"cpu": "2", "memory": "8Gi"}}
    cluster.objects["nodes", "small"] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "small", "labels": {}},
        "spec": {},
        "status": node,
    }
    wish = Resources(cpu=64)

    with pytest.raises(DeployError, match="small: 2 cores, 9 GB"):
        cluster.apply(resources=wish)
    assert cluster.api.requests == []

    adds_nodes = dataclasses.replace(cluster.platform, check_nodes=False)
    plan = dataclasses.replace(PLAN, resources=wish)
    assert adds_nodes.apply(plan, note="deploy", say=cluster.said.append).ready == 1


def test_what_was_said_of_the_cluster_is_kept_for_the_next_revision(cluster):
    cluster.apply(options=ManifestOptions(host="echo.example.com", tls_secret="certificate"))

    now = cluster.apply(note="scale to 2", instances=2)

    assert now.url == "https://echo.example.com"
    assert cluster.has("ingresses") == ["me-echo"]
    assert cluster.apply(options=ManifestOptions()).url is None
    assert cluster.has("ingresses") == []


def test_one_option_is_changed_and_the_others_stay(cluster):
    cluster.apply(options=ManifestOptions(tls_secret="certificate", host="echo.example.com"))
    platform = dataclasses.replace(cluster.platform, changes={"host": "other.example.com"})

    now = platform.apply(dataclasses.replace(PLAN, image="a/b:2"), note="deploy", say=cluster.said.append)

    assert now.url == "https://other.example.com"


def test_knative_does_not_take_the_place_of_a_deployment_that_runs(cluster):
    cluster.apply()

    with pytest.raises(DeployError, match="chutes delete me/echo"):
        cluster.apply(options=ManifestOptions(form="knative"))


def test_a_volume_is_made_once_and_kept_unless_its_data_is_to_go(cluster):
    cluster.apply(has_jobs=True, max_instances=1)
    claim = cluster.objects["persistentvolumeclaims", "me-echo-home"]
    cluster.apply(has_jobs=True, max_instances=1, image="a/b:2")

    assert (
        cluster.objects["persistentvolumeclaims", "me-echo-home"]["metadata"]["generation"]
        == claim["metadata"]["generation"]
    )

    cluster.platform.delete("me/echo", data=False, say=cluster.said.append)
    assert cluster.has("persistentvolumeclaims") == ["me-echo-home"]
    assert "Its volume me-echo-home is kept." in cluster.said[-1]


def test_the_lines_of_an_instance_or_of_all(cluster):
    cluster.api.cluster.lines["*"] = ["one", "two"]
    cluster.apply()
    (pod,) = cluster.has("pods")

    assert list(cluster.platform.logs("me/echo", lines=1, follow=False)) == ["two"]
    assert list(cluster.platform.logs("me/echo", lines=9, follow=False, instance=pod)) == ["one", "two"]
    cluster.apply(note="scale to 2", instances=2)
    lines = list(cluster.platform.logs("me/echo", lines=1, follow=False))
    assert len(lines) == 2
    assert all(
        name in line and "two" in line for name, line in zip(cluster.has("pods"), sorted(lines), strict=True)
    )
    with pytest.raises(DeployError, match="has no instance 'x'"):
        cluster.platform.logs("me/echo", lines=1, follow=False, instance="x")


def test_a_chute_that_is_not_there_is_told(cluster):
    with pytest.raises(DeployError, match="No chute 'me/other' runs here"):
        cluster.platform.delete("me/other", data=False, say=cluster.said.append)


def test_a_cluster_that_cannot_be_reached_is_told(cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")

    with pytest.raises(DeployError, match="kubectl get failed"):
        cluster.platform.deployments()


def test_eleven_revisions_later_the_first_is_forgotten(cluster):
    for number in range(1, 12):
        now = cluster.apply(note=f"scale to {number % 2 + 1}", instances=number % 2 + 1)

    assert [one.number for one in now.revisions] == list(range(2, 12))
