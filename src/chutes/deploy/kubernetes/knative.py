"""A chute as a Knative Service, in the place of a Deployment, a Service and an autoscaler."""

from typing import Any

from chutes.deploy.kubernetes.names import metadata
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.pod import pod_template
from chutes.deploy.kubernetes.scaling import bounds
from chutes.deploy.plan import Plan

__all__ = ["knative_service"]

# What Knative admits unless its own configuration says otherwise.
_MOST_AT_ONCE = 1000
_LONGEST_CALL = 600
_LONGEST_RETENTION = 3600
_START_SECONDS = 3600


def knative_service(plan: Plan, options: ManifestOptions, *, secrets_revision: int) -> dict[str, Any]:
    """The object; Knative makes a revision of its own of each change, and holds calls while none runs."""
    template = pod_template(plan, options, secrets_revision=secrets_revision)
    least, most = bounds(plan, options)
    retention = min(_LONGEST_RETENTION, int(plan.shutdown_after_seconds))
    template["metadata"]["annotations"] = template["metadata"]["annotations"] | {
        "autoscaling.knative.dev/min-scale": str(least),
        "autoscaling.knative.dev/max-scale": str(max(1, most)),
        "autoscaling.knative.dev/metric": "concurrency",
        "autoscaling.knative.dev/target": str(plan.concurrency),
        "autoscaling.knative.dev/target-utilization-percentage": str(
            max(1, round(plan.scaling_threshold * 100))
        ),
        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": f"{retention}s",
        "serving.knative.dev/progress-deadline": f"{_START_SECONDS}s",
    }
    # What an instance would refuse waits at Knative's door.
    template["spec"]["containerConcurrency"] = min(_MOST_AT_ONCE, plan.concurrency + plan.max_queue)
    template["spec"]["timeoutSeconds"] = _LONGEST_CALL
    about = metadata(plan, options, annotations={"chutes.slug": plan.slug})
    spec = {"template": template}
    return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": about, "spec": spec}
