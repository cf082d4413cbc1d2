"""What has to be known of objects to apply them, replace them and take them away."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from chutes.deploy.kubernetes.kubectl import Kubectl
from chutes.deploy.kubernetes.pod import TEMPLATE

__all__ = ["identity", "not_in", "template_in", "with_running_replicas", "workloads_in"]

_SCALERS = {
    "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas"),
    "ScaledObject": ("minReplicaCount", "maxReplicaCount"),
}


def identity(one: Mapping[str, Any]) -> str:
    """An object as kubectl names it: its kind, with its group where there is one, and its name."""
    group, _, version = str(one["apiVersion"]).rpartition("/")
    kind = str(one["kind"]).lower()
    return f"{f'{kind}.{version}.{group}' if group else kind}/{one['metadata']['name']}"


def not_in(objects: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """The objects that the others are without, volumes left out: what they hold is nobody else's to throw away."""
    kept = {identity(one) for one in others}
    names = [identity(one) for one in objects if one["kind"] != "PersistentVolumeClaim"]
    return [name for name in names if name not in kept]


def workloads_in(objects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that have pods: Deployments, and a Knative Service."""
    return [one for one in objects if "template" in one.get("spec", {})]


def template_in(objects: Sequence[Mapping[str, Any]]) -> str:
    """What tells the pods of the server from those of other revisions."""
    annotations = workloads_in(objects)[0]["spec"]["template"]["metadata"]["annotations"]
    return str(annotations[TEMPLATE])


def with_running_replicas(objects: Sequence[dict[str, Any]], kubectl: Kubectl) -> list[dict[str, Any]]:
    """The objects, each Deployment whose number follows the load with the number that it has now.

    Left out, that number would go to 1 whenever the last revision had a fixed one.
    """
    return [_with_replicas(one, objects, kubectl) for one in objects]


def _with_replicas(
    one: dict[str, Any], objects: Sequence[Mapping[str, Any]], kubectl: Kubectl
) -> dict[str, Any]:
    if one["kind"] != "Deployment" or "replicas" in one["spec"]:
        return one
    found = kubectl.get("deployments.apps", name=one["metadata"]["name"])
    now = found[0]["spec"].get("replicas", 1) if found else 1
    least, most = _bounds(objects)
    counted = copy.deepcopy(one)
    # Where none has to run, one is started all the same: nobody would know whether the revision gets ready.
    counted["spec"]["replicas"] = min(max(now, least, 1), most)
    return counted


def _bounds(objects: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    for one in objects:
        if one["kind"] in _SCALERS:
            low, high = _SCALERS[one["kind"]]
            return one["spec"][low], one["spec"][high]
    return 1, 1
