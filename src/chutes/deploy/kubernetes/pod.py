"""The pod of a chute: its container, probes, volumes and what it may not do."""

import hashlib
import json
import math
from typing import Any

from chutes.deploy.kubernetes.names import labels, object_name, selector
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.scheduling import affinity, container_resources, tolerations
from chutes.deploy.plan import PORT, Plan
from chutes.errors import DeployError

__all__ = ["PROBE_PORT", "TEMPLATE", "keeps_runs", "pod_template", "secret_name", "volume_claim"]

PROBE_PORT = 8001
TEMPLATE = "chutes.template"
"""The annotation by which a pod is told from those of other revisions; it is the same where the pods need not change."""

_HOME = "/var/lib/chutes"
_USER_HOME = "/home/chute"
_DATABASE = "CHUTES_DATABASE_URL"
# A model may take an hour to load.
_START_SECONDS = 3600
_START_PERIOD = 2
# Where an engine brings older versions of our libraries, `chutes build` puts the framework into a place of its own.
_WORKER = 'PATH="/opt/chutes/venv/bin:$PATH"; exec chutes worker "$0"'


def secret_name(plan: Plan) -> str:
    """The Secret that holds the values of the plan's secrets."""
    return f"{object_name(plan.username, plan.name)}-secrets"


def keeps_runs(plan: Plan) -> bool:
    """Whether the volume holds the only record of the runs of jobs."""
    return plan.has_jobs and _DATABASE not in plan.variables


def volume_claim(plan: Plan, options: ManifestOptions) -> str | None:
    """The name of the claim that outlives the pods, None where nothing has to or nothing can.

    A volume of one node alone cannot move while the old pod still answers, so it is taken only where it must be.
    """
    if options.form == "knative":
        return None
    if keeps_runs(plan) or (options.shared_volume and plan.has_model):
        return f"{object_name(plan.username, plan.name)}-home"
    return None


def pod_template(
    plan: Plan, options: ManifestOptions, *, component: str = "server", secrets_revision: int = 0
) -> dict[str, Any]:
    """The template of the pods.

    Args:
        plan: what is to run.
        options: how the cluster is made.
        component: "server", or "worker" for one that runs jobs only.
        secrets_revision: changes when values of secrets do, so that the pods are made anew.
    """
    about: dict[str, Any] = {"labels": labels(plan, component)}
    annotations = _annotations(plan, options, secrets_revision)
    spec = _spec(plan, options, component)
    content = json.dumps([annotations, spec], sort_keys=True)
    about["annotations"] = annotations | {TEMPLATE: hashlib.sha256(content.encode()).hexdigest()[:12]}
    return {"metadata": about, "spec": spec}


def _annotations(plan: Plan, options: ManifestOptions, secrets_revision: int) -> dict[str, str]:
    values = {"chutes.digest": plan.digest, "chutes.version": plan.version}
    if secrets_revision:
        values["chutes.secrets-revision"] = str(secrets_revision)
    if options.metrics == "annotations":
        values |= {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(PROBE_PORT),
            "prometheus.io/path": "/metrics",
        }
    return {key: value for key, value in values.items() if value}


def _spec(plan: Plan, options: ManifestOptions, component: str) -> dict[str, Any]:
    knative = options.form == "knative" and component == "server"
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": options.user,
            "runAsGroup": options.user,
            "fsGroup": options.user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if not knative:
        spec["terminationGracePeriodSeconds"] = math.ceil(plan.termination_seconds)
    if options.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
    if where := affinity(plan.resources):
        spec["affinity"] = where
    if tolerated := tolerations(plan.resources):
        spec["tolerations"] = tolerated
    if plan.most > 1 and component == "server" and not knative:
        spec["topologySpreadConstraints"] = [_spread(plan)]
    spec["containers"] = [_container(plan, options, component)]
    spec["volumes"] = _volumes(plan, options)
    return spec


def _spread(plan: Plan) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(plan)},
    }


def _container(plan: Plan, options: ManifestOptions, component: str) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "chute", "image": plan.image, "imagePullPolicy": "IfNotPresent"}
    if component == "worker":
        if not plan.target:
            raise DeployError(
                f"The plan of {plan.slug} does not say how the chute is called inside of its image, so no worker can run it."
            )
        container["command"] = ["sh", "-c", _WORKER, plan.target]
    container["env"] = _environment(plan)
    container["ports"] = _ports(options, component)
    container["resources"] = container_resources(plan.resources)
    container |= _probes(options, component)
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": not options.writable_root,
    }
    container["volumeMounts"] = [{"name": name, "mountPath": path} for name, path in _places(plan).items()]
    return container


def _environment(plan: Plan) -> list[dict[str, Any]]:
    ours = {
        "CHUTES_HOST": "0.0.0.0",  # noqa: S104 - inside a pod, which has an address of its own
        "CHUTES_PORT": str(PORT),
        "CHUTES_PROBE_PORT": str(PROBE_PORT),
        "CHUTES_DRAIN_DELAY": f"{plan.drain_delay:g}",
        "CHUTES_HOME": _HOME,
        "HOME": _USER_HOME,
    }
    # Kubernetes would put variables in the place of $(NAME).
    given = {name: value.replace("$(", "$$(") for name, value in plan.environment.items()}
    values = {"HF_HOME": f"{_HOME}/models"} | given | ours
    plain: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    kept = [
        {"name": one.name, "valueFrom": {"secretKeyRef": {"name": secret_name(plan), "key": one.name}}}
        for one in plan.secrets
    ]
    return [*plain, *kept]


def _ports(options: ManifestOptions, component: str) -> list[dict[str, Any]]:
    if options.form == "knative" and component == "server":
        # Knative takes one port, and is told which protocol it speaks by its name.
        return [{"name": "http1", "containerPort": PORT}]
    server = [{"name": "http", "containerPort": PORT}] if component == "server" else []
    return [*server, {"name": "probes", "containerPort": PROBE_PORT}]


def _probes(options: ManifestOptions, component: str) -> dict[str, Any]:
    if options.form == "knative" and component == "server":
        # Its own proxy asks the one port that it knows, so code that blocks it is given more time.
        return {
            "readinessProbe": {"httpGet": {"path": "/readyz"}, "periodSeconds": 5},
            "livenessProbe": {
                "httpGet": {"path": "/livez"},
                "periodSeconds": 30,
                "timeoutSeconds": 10,
                "failureThreshold": 10,
            },
        }

    def ask(path: str) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "probes"}}

    return {
        "startupProbe": ask("/readyz")
        | {
            "periodSeconds": _START_PERIOD,
            "timeoutSeconds": 5,
            "failureThreshold": _START_SECONDS // _START_PERIOD,
        },
        "readinessProbe": ask("/readyz") | {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
        "livenessProbe": ask("/livez") | {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
    }


def _places(plan: Plan) -> dict[str, str]:
    places = {"home": _HOME, "user": _USER_HOME, "tmp": "/tmp"}  # noqa: S108 - a volume of the pod's own
    # Several GPUs of one model exchange data there, and the 64 MB of a container are too little.
    return places | ({"shm": "/dev/shm"} if plan.resources.gpu_count > 1 else {})  # noqa: S108 - likewise


def _volumes(plan: Plan, options: ManifestOptions) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in ("home", "user", "tmp")]
    claim = volume_claim(plan, options)
    if claim:
        volumes[0] = {"name": "home", "persistentVolumeClaim": {"claimName": claim}}
    if plan.resources.gpu_count > 1:
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
    return volumes
