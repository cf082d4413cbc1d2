"""From a plan to the objects of Kubernetes."""

from typing import Any

from chutes.deploy.kubernetes.knative import knative_service
from chutes.deploy.kubernetes.names import metadata, selector
from chutes.deploy.kubernetes.network import (
    ingress,
    interceptor_service,
    network_policy,
    pod_monitor,
    service,
)
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.pod import keeps_runs, pod_template, volume_claim
from chutes.deploy.kubernetes.scaling import (
    autoscaler,
    disruption_budget,
    fixed_replicas,
    interceptor_route,
    scaled_object,
)
from chutes.deploy.plan import Plan
from chutes.errors import DeployError

__all__ = ["manifests"]

_START_SECONDS = 3600
_KEPT_REPLICA_SETS = 3


def manifests(
    plan: Plan, options: ManifestOptions | None = None, *, secrets_revision: int = 0
) -> list[dict[str, Any]]:
    """The objects that run a plan, in the order in which they are to be applied.

    They refer to the Secret with the values of the plan's secrets, and do not hold it.

    Args:
        plan: what is to run.
        options: how the cluster is made; None: a Deployment, nothing special.
        secrets_revision: changes when values of secrets do, so that the pods are made anew.

    Raises:
        DeployError: Kubernetes cannot run the plan, or not in this form.
    """
    options = options or ManifestOptions()
    _check(plan, options)
    objects: list[dict[str, Any] | None] = [_claim(plan, options), network_policy(plan, options)]
    if options.form == "knative":
        objects.append(knative_service(plan, options, secrets_revision=secrets_revision))
    else:
        objects += [
            _deployment(plan, options, secrets_revision=secrets_revision),
            service(plan, options),
            disruption_budget(plan, options),
        ]
        if options.form == "keda":
            objects += [
                interceptor_route(plan, options),
                scaled_object(plan, options),
                interceptor_service(plan, options),
            ]
        else:
            objects.append(autoscaler(plan, options))
        objects.append(ingress(plan, options))
    if _wants_worker(plan, options):
        objects.append(_deployment(plan, options, component="worker", secrets_revision=secrets_revision))
    objects.append(pod_monitor(plan, options))
    return [one for one in objects if one is not None]


def _check(plan: Plan, options: ManifestOptions) -> None:
    if options.form != "deployment" and keeps_runs(plan):
        raise DeployError(
            f"The chute '{plan.slug}' has jobs, and in the form {options.form!r} its instances come and go, so their runs need "
            "a database. Give it one, for example --secret CHUTES_DATABASE_URL, or take --form deployment."
        )


def _wants_worker(plan: Plan, options: ManifestOptions) -> bool:
    """Runs of jobs are no requests, so what scales by requests would end them half way."""
    return options.form != "deployment" and plan.has_jobs


def _deployment(
    plan: Plan, options: ManifestOptions, *, component: str = "server", secrets_revision: int
) -> dict[str, Any]:
    is_server = component == "server"
    spec: dict[str, Any] = {}
    replicas = fixed_replicas(plan, options) if is_server else 1
    if replicas is not None:
        spec["replicas"] = replicas
    spec |= {
        "revisionHistoryLimit": _KEPT_REPLICA_SETS,
        "progressDeadlineSeconds": _START_SECONDS + 60,
        "selector": {"matchLabels": selector(plan, component)},
        "strategy": _strategy(plan),
        "template": pod_template(plan, options, component=component, secrets_revision=secrets_revision),
    }
    about = metadata(
        plan,
        options,
        suffix="" if is_server else "-worker",
        component=component,
        annotations={"chutes.slug": plan.slug},
    )
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": spec}


def _strategy(plan: Plan) -> dict[str, Any]:
    if keeps_runs(plan):
        # A new pod on another node would wait for the volume, and the old one for the new pod.
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def _claim(plan: Plan, options: ManifestOptions) -> dict[str, Any] | None:
    if volume_claim(plan, options) is None:
        return None
    shared = options.shared_volume
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany" if shared else "ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{max(1, round(options.volume_gb * 1000))}M"}},
    }
    if options.storage_class:
        spec["storageClassName"] = options.storage_class
    about = metadata(plan, options, suffix="-home")
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": about, "spec": spec}
