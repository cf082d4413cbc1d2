"""A plan → a RayService, which KubeRay runs on Kubernetes: a Ray cluster of its own, whose nodes are the chute's image."""

from dataclasses import replace
from typing import Any

from chutes.chute.gpus import GPUS, Gpu
from chutes.deploy.kubernetes.names import metadata, object_name
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.pod import secret_name
from chutes.deploy.kubernetes.scheduling import affinity, container_resources, tolerations
from chutes.deploy.kubernetes.yaml_text import yaml_text
from chutes.deploy.plan import Plan, Resources
from chutes.deploy.ray.config import Code, serve_config
from chutes.errors import DeployError

__all__ = ["RAY_VERSION", "ray_service", "ray_service_text"]

RAY_VERSION = "2.60.0"
"""What the image is taken to have."""

_MOST_KINDS = 8
_IDLE_SECONDS = 60
_HEAD = {"requests": {"cpu": "1", "memory": "4G"}, "limits": {"memory": "4G"}}
# Ray's processes beside the replica itself.
_OWN_MEMORY_GB = 2.0
_OWN_CPU = 0.5


def ray_service_text(plan: Plan, options: ManifestOptions) -> str:
    """The RayService as YAML."""
    return yaml_text([ray_service(plan, options)])


def ray_service(plan: Plan, options: ManifestOptions) -> dict[str, Any]:
    """The RayService: a head without replicas, and a group of workers for each kind of GPU, none of which runs while idle.

    Raises:
        DeployError: there is no image, or so many kinds of GPU will do that nobody wants a group for each.
    """
    if not plan.image:
        raise DeployError(f"The nodes are made from the image of {plan.slug}, and the plan names none.")
    # The nodes are the image already.
    config = serve_config(replace(plan, image=""), Code())
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": metadata(plan, options),
        "spec": {
            "serveConfigV2": yaml_text([config]).removeprefix("---\n"),
            "upgradeStrategy": {"type": "NewCluster"},
            "excludeHeadPodFromServeSvc": True,
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": _IDLE_SECONDS},
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104 - in a pod
                    "template": _template(plan, options, _HEAD, {}),
                },
                "workerGroupSpecs": _workers(plan, options),
            },
        },
    }


def _workers(plan: Plan, options: ManifestOptions) -> list[dict[str, Any]]:
    resources = plan.resources
    if not resources.gpu_count:
        return [_group("cpu", plan, options, resources, {})]
    kinds = [gpu for gpu in GPUS if gpu.name in resources.gpus]
    if len(kinds) > _MOST_KINDS:
        raise DeployError(
            f"{len(kinds)} kinds of GPU will do for {plan.slug}, and each would be a group of nodes. Name those that the "
            "cluster has, for example NodeSelector(include=['l4', 'a100'])."
        )
    return [
        _group(gpu.name.replace("_", "-"), plan, options, replace(resources, gpus=(gpu.name,)), _labels(gpu))
        for gpu in kinds
    ]


def _labels(gpu: Gpu) -> dict[str, str]:
    labels = {"chutes.gpu": gpu.name}
    return labels | ({"ray.io/accelerator-type": gpu.accelerator_type} if gpu.accelerator_type else {})


def _group(
    name: str, plan: Plan, options: ManifestOptions, resources: Resources, labels: dict[str, str]
) -> dict[str, Any]:
    start = {"labels": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
    place: dict[str, Any] = {}
    if where := affinity(resources):
        place["affinity"] = where
    if tolerated := tolerations(resources):
        place["tolerations"] = tolerated
    return {
        "groupName": name,
        "replicas": 0,
        "minReplicas": 0,
        "maxReplicas": max(plan.most, 1),
        "rayStartParams": start,
        "template": _template(plan, options, container_resources(_with_ray(resources)), place),
    }


def _with_ray(resources: Resources) -> Resources:
    """What an instance asks for, and Ray's own processes beside it. A whole core more is never asked for."""
    memory = None if resources.memory_gb is None else resources.memory_gb + _OWN_MEMORY_GB
    return replace(
        resources, cpu=(1 if resources.cpu is None else resources.cpu) + _OWN_CPU, memory_gb=memory
    )


def _template(
    plan: Plan, options: ManifestOptions, resources: dict[str, Any], place: dict[str, Any]
) -> dict[str, Any]:
    container = {
        # KubeRay adds the probes of Ray's own processes, and those of the proxy.
        "name": "ray",
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "env": _environment(plan),
        "resources": resources,
    }
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": round(plan.termination_seconds),
        **(
            {"imagePullSecrets": [{"name": name} for name in options.pull_secrets]}
            if options.pull_secrets
            else {}
        ),
        **place,
        "containers": [container],
    }
    return {
        "metadata": {"labels": {"app.kubernetes.io/instance": object_name(plan.username, plan.name)}},
        "spec": spec,
    }


def _environment(plan: Plan) -> list[dict[str, Any]]:
    plain = [{"name": name, "value": value} for name, value in sorted(plan.environment.items())]
    return plain + [
        {
            "name": secret.name,
            "valueFrom": {"secretKeyRef": {"name": secret_name(plan), "key": secret.name}},
        }
        for secret in plan.secrets
    ]
