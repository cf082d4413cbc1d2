"""Wait for an application of Ray Serve to run as it was configured, and say what it waits for."""

import copy
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from chutes.deploy.plan import Plan
from chutes.deploy.platforms import Say
from chutes.deploy.ray.applications import Applications
from chutes.deploy.ray.records import Records
from chutes.errors import DeployError

__all__ = ["Waiting"]

_POLL_SECONDS = 0.5
_FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
_MOST_TIMES_SENT = 5
_OURS = "chutes.errors."
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What Serve says of a replica that no node takes.
_NO_ROOM = re.compile(r"Resources required for each replica: (\{.*?\}), total resources available: (\{.*?\})")
_WORDS = {"STARTING": "starting", "RUNNING": "ready", "STOPPING": "stopping", "UPDATING": "updating"}


class Waiting:
    """Waits for one application.

    Somebody else who deploys at the same moment may have read what ran before this application was sent, and so have taken
    it away again: it is sent once more.

    Where no node has room for one more replica, those of the old revision have to go first.

    Args:
        applications: of the cluster.
        wanted: the configuration of the application.
        plan: what it runs.
        grows: the cluster gets new nodes where its own have no room.
    """

    def __init__(
        self, applications: Applications, wanted: Mapping[str, Any], plan: Plan, *, grows: bool
    ) -> None:
        self._applications = applications
        self._wanted = wanted
        self._plan = plan
        self._makes_room = not grows
        self._records = Records.of(wanted)
        self._sent = 1
        self._said = ""

    def wait(self, seconds: float, say: Say) -> None:
        """Return when it runs.

        Raises:
            DeployError: it failed, another revision took its place, or the time is over.
        """
        until = time.monotonic() + seconds
        while True:
            details = self._applications.details(str(self._wanted["name"]))
            if self._is_lost(details):
                self._send_again()
            elif details is not None and self._is_ready(details):
                return
            elif details is not None:
                self._tell(details, say)
                if self._makes_room and _has_no_room(details):
                    self._make_room(say)
            if time.monotonic() > until:
                raise DeployError(
                    f"{self._plan.slug} did not get ready within {seconds:g} s. {self._said} A longer --timeout gives it more."
                )
            time.sleep(_POLL_SECONDS)

    def _is_ready(self, details: Mapping[str, Any]) -> bool:
        if details["status"] in _FAILED:
            raise DeployError(f"{self._plan.slug} did not get ready: {_reason(details)}")
        running = sum(states["RUNNING"] for states in _states(details))
        fixed = self._plan.instances
        enough = running >= max(1, self._plan.min_instances) if fixed is None else running == fixed
        return details["status"] == "RUNNING" and enough

    def _is_lost(self, details: Mapping[str, Any] | None) -> bool:
        """Whether somebody wrote over it without having seen it."""
        config = (details or {}).get("deployed_app_config") or {}
        there = Records.of(config)
        if there.kept and there.newest > self._records.newest:
            raise DeployError(
                f"Somebody else deployed {self._plan.slug} at the same time: revision {there.newest} took over."
            )
        return there != self._records

    def _send_again(self) -> None:
        if self._sent >= _MOST_TIMES_SENT:
            raise DeployError(
                f"Others deploy to this cluster all the time, and {self._plan.slug} was taken away {self._sent} times. Try again."
            )
        self._sent += 1
        self._applications.put(self._wanted)

    def _make_room(self, say: Say) -> None:
        self._makes_room = False
        self._wanted = copy.deepcopy(dict(self._wanted))
        self._wanted["deployments"][0]["max_surge_percent"] = 0
        self._applications.put(self._wanted)
        say("No node has room for one more replica: the old ones stop first, and calls wait meanwhile.")

    def _tell(self, details: Mapping[str, Any], say: Say) -> None:
        counts = Counter[str]()
        for states in _states(details):
            counts += states
        shown = ", ".join(f"{number} {_WORDS.get(state, state.lower())}" for state, number in counts.items())
        reason = next((one["message"] for one in details["deployments"].values() if one["message"]), "")
        line = f"Replicas: {shown or 'none yet'}.{' ' + _first_line(reason) if reason else ''}"
        if line != self._said:
            self._said = line
            say(line)


def _states(details: Mapping[str, Any]) -> list[Counter[str]]:
    return [
        Counter(str(replica["state"]) for replica in deployment["replicas"])
        for deployment in details["deployments"].values()
    ]


def _has_no_room(details: Mapping[str, Any]) -> bool:
    """Whether a replica waits for resources that old ones have; a slow installation of libraries looks alike otherwise."""
    for deployment in details["deployments"].values():
        found = _NO_ROOM.search(deployment["message"] or "")
        if found is not None and any(one["state"] == "RUNNING" for one in deployment["replicas"]):
            required, available = json.loads(found[1]), json.loads(found[2])
            return any(available.get(name, 0) < amount for name, amount in required.items())
    return False


def _reason(details: Mapping[str, Any]) -> str:
    messages = [details["message"], *(one["message"] for one in details["deployments"].values())]
    told = _COLOUR.sub("", max(messages, key=len)).strip()
    ours = [line for line in told.splitlines() if line.startswith(_OURS)]
    # Serve's frames and ours stand around the one line that says what is wrong.
    return ours[-1].partition(": ")[2] if ours else told or "Serve gives no reason."


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0]
