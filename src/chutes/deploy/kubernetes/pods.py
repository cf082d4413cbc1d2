"""What the pods of a chute are at, and what keeps one from getting ready."""

from collections.abc import Iterable, Mapping
from typing import Any

from chutes.deploy.deployment import Instance, InstanceState
from chutes.deploy.kubernetes.pod import TEMPLATE

__all__ = ["chute_of", "instance", "template_of", "trouble", "unscheduled"]

# What no waiting mends: a name, a Secret or a command is wrong.
_HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
_CRASHES = 2


def chute_of(pod: Mapping[str, Any]) -> str:
    """The name of the objects of the chute that a pod belongs to."""
    return str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/instance", ""))


def template_of(pod: Mapping[str, Any]) -> str:
    """What tells the pods of one revision from those of another."""
    return str(pod["metadata"].get("annotations", {}).get(TEMPLATE, ""))


def instance(pod: Mapping[str, Any], revisions: Mapping[str, int], current: int) -> Instance:
    """A pod as an instance; `revisions` are the numbers of the newest revision of each template."""
    state, detail = _state(pod)
    return Instance(
        name=pod["metadata"]["name"],
        state=state,
        revision=revisions.get(template_of(pod), current),
        place=pod.get("spec", {}).get("nodeName", ""),
        detail=detail,
        restarts=sum(status.get("restartCount", 0) for status in _containers(pod)),
    )


def trouble(pod: Mapping[str, Any]) -> str:
    """Why a pod will not get ready, "" while it may."""
    for status in _containers(pod):
        state = status.get("state", {})
        waiting = state.get("waiting", {})
        if waiting.get("reason") in _HOPELESS:
            return _said(waiting)
        if status.get("restartCount", 0) >= _CRASHES and not status.get("ready"):
            return f"it ended {status['restartCount']} times, {_end(status)}"
    return ""


def unscheduled(pod: Mapping[str, Any]) -> str:
    """Why a pod has no node, "" when it has one."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason") or "it has no node")
    return ""


def _state(pod: Mapping[str, Any]) -> tuple[InstanceState, str]:
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return "draining", ""
    if status.get("phase") in ("Failed", "Succeeded"):
        return "failed", str(status.get("message") or status.get("reason") or "it ended")
    if any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions", ())
    ):
        return "ready", ""
    if why := trouble(pod):
        return "failed", why
    if why := unscheduled(pod):
        return "waiting", why
    return "starting", next((_said(one["state"]["waiting"]) for one in _containers(pod) if _waits(one)), "")


def _containers(pod: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    found: Iterable[Mapping[str, Any]] = pod.get("status", {}).get("containerStatuses", ())
    return found


def _waits(status: Mapping[str, Any]) -> bool:
    return bool(status.get("state", {}).get("waiting", {}).get("message"))


def _said(waiting: Mapping[str, Any]) -> str:
    message = waiting.get("message", "")
    return f"{waiting.get('reason', 'it waits')}{f': {message}' if message else ''}"


def _end(status: Mapping[str, Any]) -> str:
    ends = [status.get(when, {}).get("terminated") for when in ("state", "lastState")]
    last: Mapping[str, Any] = next((end for end in ends if end), {})
    code, reason = last.get("exitCode"), last.get("reason", "")
    return f"the last time with exit code {code}{f' ({reason})' if reason and reason != 'Error' else ''}"
