"""A plan → the configuration of Ray Serve that runs it; pure, and accepted by `serve deploy`."""

from dataclasses import dataclass
from typing import Any

from chutes.chute.gpus import GPUS, Gpu
from chutes.deploy.plan import Plan, Resources

__all__ = ["DEPLOYMENT", "Code", "application", "application_name", "labels", "serve_config"]

DEPLOYMENT = "chute"
"""What the one deployment of each application is called."""

_BUILDER = "chutes.deploy.ray.replica:build"
# Refusals, probes, pages and websockets are answered while every slot and place is taken: Serve lets them through too.
_SPARE_REQUESTS = 64
_UPSCALE_SECONDS = 3.0
# Serve measures every 10 s otherwise, and a call that finds no replica waits for the next measurement.
_MEASURE_SECONDS = 1.0
# It wants to look at more than one measurement.
_LOOK_BACK_SECONDS = 5.0
_DOWNSCALE_SECONDS = 60.0
_DRAIN_LOOK_SECONDS = 0.5
_GB = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Where the replicas find what they run.

    Attributes:
        files: URI of the chute's files, empty where the nodes or the image have them.
        framework: URI of the framework, empty likewise.
        requirements: lines of a `requirements.txt` that each node installs.
        secrets: URI of the values of the plan's secrets, empty for none.
    """

    files: str = ""
    framework: str = ""
    requirements: tuple[str, ...] = ()
    secrets: str = ""

    @property
    def packages(self) -> tuple[str, ...]:
        """The URIs of all that the cluster has to keep."""
        return tuple(uri for uri in (self.files, self.framework, self.secrets) if uri)


def serve_config(plan: Plan, code: Code) -> dict[str, Any]:
    """The document for `serve deploy`, `PUT /api/serve/applications/` or a RayService: one application.

    Applications that the document does not name are deleted by whoever takes it: merge it with those that run.
    """
    return {"applications": [application(plan, code)]}


def application_name(plan: Plan) -> str:
    """What Serve calls it: no chute's name holds a colon, and log files are named by it."""
    return f"{plan.username}:{plan.name}"


def application(plan: Plan, code: Code) -> dict[str, Any]:
    """One application of Ray Serve.

    Everything that changes with each revision is left out of `args` and `runtime_env`: a change there has Serve start
    every replica anew.
    """
    return {
        "name": application_name(plan),
        # Without a prefix nobody can call it, so nothing wakes what was scaled to 0.
        "route_prefix": None if plan.instances == 0 else f"/{plan.slug}",
        "import_path": _BUILDER,
        "args": {"target": plan.target, "packages": list(code.packages), "secrets": code.secrets},
        "runtime_env": _runtime_env(plan, code),
        "deployments": [_deployment(plan)],
    }


def labels(resources: Resources) -> dict[str, str]:
    """The labels that a node must have, as Ray's selectors spell them; empty where any node will do.

    Ray knows the kind of a node's GPUs by itself, but not how much memory they have: where two GPUs of the catalogue
    share Ray's name and only one of them will do, the node has to say which it is with the label `chutes.gpu`.
    """
    if not resources.gpu_count:
        return {}
    taken = [gpu for gpu in GPUS if gpu.name in resources.gpus]
    if _is_told_by_type(taken):
        kinds = dict.fromkeys(gpu.accelerator_type or "" for gpu in taken)
        return {"ray.io/accelerator-type": _any_of(list(kinds))}
    return {"chutes.gpu": _any_of([gpu.name for gpu in taken])}


def _is_told_by_type(taken: list[Gpu]) -> bool:
    kinds = {gpu.accelerator_type for gpu in taken}
    return None not in kinds and all(gpu in taken for gpu in GPUS if gpu.accelerator_type in kinds)


def _any_of(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"in({','.join(values)})"


def _runtime_env(plan: Plan, code: Code) -> dict[str, Any]:
    found: dict[str, Any] = {"env_vars": dict(plan.environment)}
    if plan.image:
        return found | {"image_uri": plan.image}
    if code.files:
        found["working_dir"] = code.files
    if code.framework:
        found["py_modules"] = [code.framework]
    if code.requirements:
        # Its check fails for what the nodes had before, which is none of ours.
        found["pip"] = {"packages": list(code.requirements), "pip_check": False}
    return found


def _deployment(plan: Plan) -> dict[str, Any]:
    at_once = plan.concurrency + plan.max_queue + _SPARE_REQUESTS
    return {
        "name": DEPLOYMENT,
        "autoscaling_config": _replicas(plan),
        "ray_actor_options": _actor_options(plan.resources),
        "max_ongoing_requests": at_once,
        # What the proxy holds while a replica starts; the replicas themselves refuse what they cannot take.
        "max_queued_requests": at_once * max(plan.most, 1),
        "backpressure_config": {"status_code": 503, "retry_after_s": 1},
        "graceful_shutdown_timeout_s": plan.termination_seconds,
        "graceful_shutdown_wait_loop_s": _DRAIN_LOOK_SECONDS,
        "max_surge_percent": 25,
        "logging_config": {"enable_access_log": False},
    }


def _replicas(plan: Plan) -> dict[str, Any]:
    """How many replicas; a fixed number is told by two bounds, for Serve starts all anew when the bounds come or go."""
    idle = 0.0 if plan.instances == 0 else plan.shutdown_after_seconds
    least = plan.min_instances if plan.instances is None else plan.instances
    return {
        "min_replicas": least,
        "max_replicas": max(plan.most, 1),
        "target_ongoing_requests": plan.concurrency * plan.scaling_threshold,
        "metrics_interval_s": _MEASURE_SECONDS,
        "look_back_period_s": _LOOK_BACK_SECONDS,
        "upscale_delay_s": _UPSCALE_SECONDS,
        "downscale_delay_s": min(_DOWNSCALE_SECONDS, idle),
        "downscale_to_zero_delay_s": idle,
    }


def _actor_options(resources: Resources) -> dict[str, Any]:
    options: dict[str, Any] = {"num_cpus": 1 if resources.cpu is None else resources.cpu}
    if resources.gpu_count:
        options |= {"num_gpus": resources.gpu_count, "label_selector": labels(resources)}
    if resources.memory_gb is not None:
        options["memory"] = int(resources.memory_gb * _GB)
    return options
