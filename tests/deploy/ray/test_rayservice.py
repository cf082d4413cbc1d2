"""A plan as a RayService of KubeRay."""

import json
import subprocess

import pytest
import yaml

from chutes.chute.node_selector import NodeSelector
from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.kubernetes import ManifestOptions
from chutes.deploy.ray.rayservice import ray_service, ray_service_text
from chutes.errors import DeployError
from support.ray_clusters import ray_python

PLAN = Plan(
    username="me",
    name="words",
    image="registry.example.com/me/words:1",
    target="app.py:chute",
    min_instances=0,
    max_instances=3,
    resources=Resources.of(NodeSelector(gpu_count=2, include=["l4", "a100_40gb_sxm"])),
    environment={"MODE": "fast"},
    secrets=(Secret(name="TOKEN"),),
)


def spec_of(plan=PLAN, **options):
    return ray_service(plan, ManifestOptions(**options))["spec"]


def test_each_kind_of_gpu_is_a_group_of_workers_with_its_labels():
    groups = spec_of()["rayClusterConfig"]["workerGroupSpecs"]
    assert [(group["groupName"], group["rayStartParams"]["labels"]) for group in groups] == [
        ("a100-40gb-sxm", "chutes.gpu=a100_40gb_sxm,ray.io/accelerator-type=A100"),
        ("l4", "chutes.gpu=l4,ray.io/accelerator-type=L4"),
    ]
    for group in groups:
        assert (group["minReplicas"], group["maxReplicas"]) == (0, 3)
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
        assert group["template"]["spec"]["tolerations"]


def test_a_chute_without_gpus_has_one_group():
    spec = spec_of(Plan(username="me", name="words", image="words:1"))
    (group,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    assert (group["groupName"], group["rayStartParams"]) == ("cpu", {})
    assert group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "1500m"


def test_the_head_runs_no_replica_and_asks_for_a_token():
    cluster = spec_of()["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["authOptions"] == {"mode": "token"}


def test_the_values_of_secrets_come_from_a_secret():
    (container,) = spec_of()["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "MODE", "value": "fast"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "me-words-secrets", "key": "TOKEN"}}},
    ]


def test_the_configuration_of_serve_is_text_that_people_can_read():
    text = ray_service_text(PLAN, ManifestOptions(namespace="chutes"))
    found = yaml.safe_load(text)
    config = yaml.safe_load(found["spec"]["serveConfigV2"])
    assert found["metadata"]["namespace"] == "chutes"
    assert config["applications"][0]["route_prefix"] == "/me/words"
    assert "image_uri" not in json.dumps(config)
    assert "  serveConfigV2: |" in text


def test_too_many_kinds_of_gpu_are_refused():
    plan = Plan(
        username="me", name="words", image="words:1", resources=Resources.of(NodeSelector(gpu_count=1))
    )
    with pytest.raises(DeployError, match="kinds of GPU will do for me/words"):
        ray_service(plan, ManifestOptions())


@pytest.mark.ray
def test_ray_takes_the_configuration(tmp_path):
    config = tmp_path / "serve.yaml"
    config.write_text(ray_service(PLAN, ManifestOptions())["spec"]["serveConfigV2"])
    check = (
        "import sys, yaml; from ray.serve.schema import ServeDeploySchema; "
        "ServeDeploySchema.model_validate(yaml.safe_load(open(sys.argv[1])))"
    )
    done = subprocess.run([ray_python(), "-c", check, str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
