"""What the replicas of a chute wrote, through the cluster's dashboard."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chutes.deploy.ray.applications import Applications
from chutes.deploy.ray.dashboard import Dashboard
from chutes.errors import DeployError

__all__ = ["follow_logs", "last_lines"]

_POLL_SECONDS = 1.0
# What is asked for again and again while following; more than this in a second is not shown.
_WINDOW = 1000
_KINDS = ("out", "err")
# With these Ray tells its own readers whose lines follow.
_MARKS = (":job_id:", ":actor_name:")


def last_lines(dashboard: Dashboard, applications: Applications, name: str, lines: int) -> list[str]:
    """The last lines of the newest replica that wrote any, those that have ended included."""
    for replica in _newest_first(applications, name):
        found = _lines(dashboard, replica, lines)
        if found:
            return found
    return []


def follow_logs(
    dashboard: Dashboard,
    applications: Applications,
    name: str,
    lines: int,
    *,
    follow: bool,
    instance: str | None,
) -> Iterator[str]:
    """The last lines of all replicas, or of one; then those that come, until the caller has enough.

    Raises:
        DeployError: there is no such replica.
    """
    replicas = _newest_first(applications, name)
    if instance is not None:
        replicas = [one for one in replicas if one["replica_id"].startswith(instance)]
        if not replicas:
            raise DeployError(f"There is no instance '{instance}'. `chutes status` lists them.")
    seen: dict[str, list[str]] = {}
    for replica in reversed(replicas):
        seen[replica["replica_id"]] = _lines(dashboard, replica, max(lines, _WINDOW))
        yield from _marked(replica, seen[replica["replica_id"]][-lines:], many=len(replicas) > 1)
    while follow:
        time.sleep(_POLL_SECONDS)
        for replica in _newest_first(applications, name):
            one = replica["replica_id"]
            if instance is None or one.startswith(instance):
                found = _lines(dashboard, replica, _WINDOW)
                yield from _marked(replica, _new(seen.get(one, []), found), many=instance is None)
                seen[one] = found


def _newest_first(applications: Applications, name: str) -> list[dict[str, Any]]:
    details = applications.details(name) or {"deployments": {}}
    replicas = [
        replica
        for deployment in details["deployments"].values()
        for replica in (*deployment["replicas"], *deployment.get("recent_dead_replicas", ()))
        if replica.get("actor_id")
    ]
    return sorted(replicas, key=lambda one: one["start_time_s"], reverse=True)


def _lines(dashboard: Dashboard, replica: Mapping[str, Any], lines: int) -> list[str]:
    found: list[str] = []
    for kind in _KINDS:
        found += dashboard.log(replica["actor_id"], kind, lines)
    return [line for line in found if not line.startswith(_MARKS)]


def _marked(replica: Mapping[str, Any], lines: Sequence[str], *, many: bool) -> Iterator[str]:
    prefix = f"{replica['replica_id']} | " if many else ""
    return (f"{prefix}{line}" for line in lines)


def _new(seen: Sequence[str], found: Sequence[str]) -> Sequence[str]:
    """The lines behind those that were seen; the window may have moved on since."""
    for size in range(min(len(seen), len(found)), 0, -1):
        if list(seen[-size:]) == list(found[:size]):
            return found[size:]
    return found
