"""How many instances there are: fixed, by the load, or none while nobody calls."""

from typing import Any

from chutes.deploy.kubernetes.names import metadata, object_name, selector
from chutes.deploy.kubernetes.network import HTTP_PORT
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.plan import Plan

__all__ = [
    "autoscaler",
    "bounds",
    "disruption_budget",
    "fixed_replicas",
    "interceptor_route",
    "scaled_object",
]

# The longest that Kubernetes takes.
_LONGEST_WINDOW = 3600
_SCALER = "keda-add-ons-http-external-scaler.keda:9090"
_START_SECONDS = 3600


def bounds(plan: Plan, options: ManifestOptions) -> tuple[int, int]:
    """At least and at most how many instances; a plain Deployment has no way to start one for a call."""
    if plan.instances is not None:
        return plan.instances, plan.instances
    least = plan.min_instances if options.form != "deployment" else max(1, plan.min_instances)
    return least, plan.max_instances


def fixed_replicas(plan: Plan, options: ManifestOptions) -> int | None:
    """The number of instances, None when something else looks after it."""
    least, most = bounds(plan, options)
    return least if least == most else None


def autoscaler(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """A HorizontalPodAutoscaler by calls under way where the cluster counts them, else by the processor."""
    least, most = bounds(plan, options)
    if least == most:
        return None
    window = min(_LONGEST_WINDOW, int(plan.shutdown_after_seconds))
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": _name(plan)},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [_metric(plan, options)],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": window}},
    }
    about = metadata(plan, options)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": about,
        "spec": spec,
    }


def disruption_budget(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """One instance at a time is moved when nodes are emptied; a single one has to be moved all the same."""
    if bounds(plan, options)[1] < 2:  # noqa: PLR2004 - more than one
        return None
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": selector(plan)},
    }
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(plan, options),
        "spec": spec,
    }


def interceptor_route(plan: Plan, options: ManifestOptions) -> dict[str, Any]:
    """What the proxy of KEDA's HTTP add-on holds calls for, and how many of them one instance takes."""
    target = max(1, round(plan.concurrency * plan.scaling_threshold))
    spec = {
        "target": {"service": _name(plan), "port": HTTP_PORT},
        "rules": [{"hosts": [options.host or _name(plan)]}],
        "scalingMetric": {"concurrency": {"targetValue": target}},
        "timeouts": {"readiness": f"{_START_SECONDS}s"},
    }
    return {
        "apiVersion": "http.keda.sh/v1beta1",
        "kind": "InterceptorRoute",
        "metadata": metadata(plan, options),
        "spec": spec,
    }


def scaled_object(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    """What scales the Deployment by the calls that KEDA's proxy counts, down to none."""
    least, most = bounds(plan, options)
    if least == most:
        return None
    spec = {
        "scaleTargetRef": {"name": _name(plan)},
        "minReplicaCount": least,
        "maxReplicaCount": most,
        "cooldownPeriod": int(plan.shutdown_after_seconds),
        "triggers": [
            {
                "type": "external-push",
                "metadata": {"scalerAddress": _SCALER, "interceptorRoute": _name(plan)},
            }
        ],
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(plan, options),
        "spec": spec,
    }


def _metric(plan: Plan, options: ManifestOptions) -> dict[str, Any]:
    if options.load_metric:
        calls = max(1, round(plan.concurrency * plan.scaling_threshold * 1000))
        target = {
            "type": "AverageValue",
            "averageValue": f"{calls}m" if calls % 1000 else str(calls // 1000),
        }
        return {"type": "Pods", "pods": {"metric": {"name": options.load_metric}, "target": target}}
    share = {"type": "Utilization", "averageUtilization": max(1, round(plan.scaling_threshold * 100))}
    return {"type": "Resource", "resource": {"name": "cpu", "target": share}}


def _name(plan: Plan) -> str:
    return object_name(plan.username, plan.name)
