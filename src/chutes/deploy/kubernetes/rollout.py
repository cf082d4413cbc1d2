"""Wait until a new revision is ready, or say why it will not be."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chutes.deploy.kubernetes.kubectl import Kubectl
from chutes.deploy.kubernetes.pods import template_of, trouble, unscheduled
from chutes.deploy.platforms import Say
from chutes.errors import DeployError

__all__ = ["Rollout", "last_words"]

_LINES = 20
_EVENTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A revision that is on its way.

    Attributes:
        kubectl: how the cluster is reached.
        workloads: the objects whose pods have to get ready: Deployments, or a Knative Service.
        selector: the labels of the pods.
        template: what tells the new pods from the old.
        seconds: how long that may take.
        pause: seconds between two looks.
    """

    kubectl: Kubectl
    workloads: Sequence[Mapping[str, Any]]
    selector: str
    template: str
    seconds: float
    pause: float = 1.0

    def wait(self, say: Say) -> None:
        """Wait, and say what changes.

        Raises:
            DeployError: a pod cannot start, or the time is over.
        """
        deadline, said = time.monotonic() + self.seconds, ""
        while True:
            left = [text for one in self.workloads if (text := self._missing(one))]
            if not left:
                return
            pods = self._new_pods()
            for pod in pods:
                if why := trouble(pod):
                    raise DeployError(f"the pod {pod['metadata']['name']} does not start: {why}")
            waits = next((f"; no node takes it yet: {why}" for pod in pods if (why := unscheduled(pod))), "")
            if (now := f"{', '.join(left)}{waits}") != said:
                said = now
                say(f"Waiting: {said}.")
            if time.monotonic() > deadline:
                raise DeployError(f"after {self.seconds:g} seconds {said}")
            time.sleep(self.pause)

    def troubled_pod(self) -> Mapping[str, Any] | None:
        """The new pod that says most about why it is not ready."""
        pods = self._new_pods()
        return next((pod for pod in pods if trouble(pod)), pods[0] if pods else None)

    def _new_pods(self) -> list[dict[str, Any]]:
        pods = self.kubectl.get("pods", selector=self.selector)
        return [pod for pod in pods if template_of(pod) == self.template]

    def _missing(self, workload: Mapping[str, Any]) -> str:
        """What has yet to come about, "" when all has."""
        found = self.kubectl.get(_type_of(workload), name=workload["metadata"]["name"])
        if not found:
            return f"{workload['metadata']['name']} is not there"
        now = found[0]
        status = now.get("status", {})
        if status.get("observedGeneration", 0) < now["metadata"].get("generation", 0):
            return "the cluster has not looked at it"
        return _knative(status) if workload["kind"] == "Service" else _deployment(now, status)


def last_words(kubectl: Kubectl, pod: Mapping[str, Any]) -> str:
    """The last lines of a pod that did not get ready, and what the cluster said of it."""
    name = pod["metadata"]["name"]
    statuses = pod.get("status", {}).get("containerStatuses", ())
    restarted = any(one.get("restartCount") and "running" not in one.get("state", {}) for one in statuses)
    lines = list(kubectl.logs(pod=name, lines=_LINES, previous=restarted))
    if restarted and not lines:
        lines = list(kubectl.logs(pod=name, lines=_LINES))
    text = "".join(f"\n  {line}" for line in lines)
    parts = [f"Its last lines:{text}"] if lines else []
    events = [
        f"\n  {event.get('reason', '')}: {event.get('message', '')}"
        for event in kubectl.get("events")
        if event.get("involvedObject", {}).get("name") == name and event.get("type") == "Warning"
    ]
    if events:
        parts.append(f"What the cluster said:{''.join(events[-_EVENTS:])}")
    return "\n".join(parts)


def _type_of(workload: Mapping[str, Any]) -> str:
    return "services.serving.knative.dev" if workload["kind"] == "Service" else "deployments.apps"


def _deployment(now: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    wanted = now["spec"].get("replicas", 1)
    fresh, all_of_them = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = min(status.get("availableReplicas", 0), fresh)
    if fresh < wanted or available < wanted:
        kind = "workers" if now["metadata"]["name"].endswith("-worker") else "instances"
        return f"{available} of {wanted} new {kind} are ready"
    return f"{all_of_them - fresh} of the former instances are still there" if all_of_them > fresh else ""


def _knative(status: Mapping[str, Any]) -> str:
    ready: Mapping[str, Any] = next(
        (one for one in status.get("conditions", ()) if one.get("type") == "Ready"), {}
    )
    if ready.get("status") == "True":
        return ""
    return str(ready.get("message") or ready.get("reason") or "Knative has not begun").rstrip(".")
