"""A Ray cluster of one node on this machine, and the same work on it twice: as chutes, and as Ray Serve applications by hand."""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.environments import ROOT
from benchmarks.machine import cpu_seconds, marked
from benchmarks.servers.payloads import CONCURRENCY
from chutes.build import make_context
from chutes.deploy import Plan, Resources, make_plan
from chutes.deploy.cluster.down import stop_cluster
from chutes.deploy.cluster.nodes import NodeSpec
from chutes.deploy.cluster.ray_python import find_ray
from chutes.deploy.cluster.state import ClusterState, local_cluster
from chutes.deploy.cluster.up import UpOptions, start_cluster
from chutes.deploy.ray import RayPlatform
from chutes.deploy.ray.applications import Applications
from chutes.deploy.ray.config import Code, application, application_name
from chutes.deploy.ray.dashboard import Dashboard
from chutes.loading import load
from chutes.settings import Settings

__all__ = ["BY_CHUTES", "BY_HAND", "SIDES", "RayCluster", "by_hand", "ray_cluster", "wait_until"]

BY_CHUTES, BY_HAND = "chutes", "by hand"
SIDES = (BY_CHUTES, BY_HAND)
_SERVERS = Path(__file__).parent / "servers"
_CHUTES = _SERVERS / "cluster_on_chutes.py"
_SHIPPED = (_SERVERS.parent / "__init__.py", _SERVERS / "__init__.py", _SERVERS / "payloads.py")
_READY_SECONDS = 120.0
# The cluster is told of more replicas than it has cores: what is asked for a replica is only counted.
_CPU = 0.1
# An application that was changed may still be shown as it was.
_SEEN_SECONDS = 2.0


class RayCluster:
    """A cluster that runs, with what was deployed on it.

    Attributes:
        host: where its proxy listens.
        port: likewise.
        ray_version: of its Ray.
    """

    def __init__(self, state: ClusterState, token: str, folder: Path) -> None:
        place = urlsplit(state.url)
        self.host, self.port = str(place.hostname), int(place.port or 0)
        self.ray_version = state.ray_version
        self._state = state
        self._token = token
        self._folder = folder
        self._names: dict[tuple[str, str], str] = {}
        self._applications = Applications(Dashboard(state.dashboard, token), state.url)

    def cpu_seconds(self) -> float:
        """Processor seconds of all its processes, idle or not."""
        return cpu_seconds(marked(self._state.mark))

    def path(self, name: str, side: str) -> str:
        """Below which an application answers."""
        return f"/benchmarks/{name}" if side == BY_CHUTES else f"/by-hand/{name}"

    def url(self, name: str, side: str) -> str:
        """Where an application answers."""
        return f"{self._state.url}{self.path(name, side)}"

    def deploy(
        self, name: str, side: str, *, instances: int | None = None, least: int = 0, version: int = 1
    ) -> None:
        """Have an application run, or change it, and wait until it is ready.

        Args:
            name: of a chute in servers/cluster_on_chutes.py.
            side: of `SIDES`.
            instances: a fixed number; None: as many as its load asks for.
            least: in that case, instances without a load.
            version: what it answers on `/call`; with another one all replicas are replaced.

        Raises:
            DeployError: it did not get ready.
            RuntimeError: likewise, by hand.
        """
        loaded = load(f"{self._folder / _CHUTES.name}:{name}")
        context = make_context(loaded)
        plan = make_plan(
            loaded.chute,
            image="",
            digest=context.digest,
            target=f"{_CHUTES.name}:{name}",
            environment={"VERSION": str(version)},
            instances=instances,
            min_instances=least,
        )
        plan = replace(plan, resources=Resources(cpu=_CPU))
        if side == BY_CHUTES:
            self._names[name, side] = application_name(plan)
            RayPlatform(
                address=self._state.dashboard,
                token=self._token,
                url=self._state.url,
                context=context,
                timeout=_READY_SECONDS,
            ).apply(plan, note="benchmark", say=_say)
        else:
            wanted = by_hand(plan, self.path(name, side))
            self._names[name, side] = wanted["name"]
            self._applications.put(wanted)
            time.sleep(_SEEN_SECONDS)
            wait_until(lambda: self._runs(wanted), f"{wanted['name']} runs")

    def replicas(self, name: str, side: str) -> Counter[str]:
        """How many replicas an application has in each state of Serve's."""
        return _states(self._applications.details(self._names[name, side]) or {})

    def clear(self) -> None:
        """Delete all applications."""
        for name in self._names.values():
            self._applications.remove(name)
        self._names.clear()

    def _runs(self, wanted: dict[str, Any]) -> bool:
        details = self._applications.details(wanted["name"]) or {}
        if details.get("status") == "DEPLOY_FAILED":
            raise RuntimeError(f"{wanted['name']} failed: {details['message']}")
        least = wanted["deployments"][0]["autoscaling_config"]["min_replicas"]
        return details.get("status") == "RUNNING" and _states(details)["RUNNING"] >= least


def by_hand(plan: Plan, path: str) -> dict[str, Any]:
    """The application by hand with as many replicas, by the same rule, and of the same size, as those of a plan."""
    ours = application(plan, Code())["deployments"][0]
    return {
        "name": f"by-hand-{plan.name}",
        "route_prefix": path,
        "import_path": "benchmarks.servers.cluster_by_hand:application",
        "runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT), **plan.environment}},
        "deployments": [
            {
                "name": "by_hand",
                "autoscaling_config": ours["autoscaling_config"],
                "ray_actor_options": ours["ray_actor_options"],
                "max_ongoing_requests": 2 * CONCURRENCY,
                "logging_config": {"enable_access_log": False},
            }
        ],
    }


@contextmanager
def ray_cluster(folder: Path, *, haproxy: bool) -> Iterator[RayCluster]:
    """A cluster as `chutes cluster up` starts it; none of its processes is left afterwards.

    Args:
        folder: for what is kept of it.
        haproxy: put HAProxy before the replicas, in the place of Ray's own proxy.

    Raises:
        RuntimeError: the environment with Ray cannot be made, or has no HAProxy.
        DeployError: the cluster does not start.
    """
    home = folder / f"ray-{'haproxy' if haproxy else 'proxy'}"
    settings = Settings.from_env({"CHUTES_HOME": str(home)})
    found = find_ray(_ray_python())
    if haproxy and not found.has_ha_proxy:
        raise RuntimeError(f"The Ray of {found.path} came without HAProxy.")
    node = NodeSpec(name="head", cpu=len(os.sched_getaffinity(0)))
    options = UpOptions(nodes=[node], port=0, dashboard_port=0, ha_proxy=haproxy)
    state = start_cluster(settings, found, options, _say)
    try:
        address = local_cluster(settings)
        yield RayCluster(state, address.token if address else "", _sources(home))
    finally:
        stop_cluster(settings, now=True, say=_say)


def wait_until(happened: Callable[[], bool], what: str, *, seconds: float = _READY_SECONDS) -> None:
    """Return when it has happened.

    Raises:
        RuntimeError: it did not, in time.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not within {seconds:g} s: {what}.")
        time.sleep(0.1)


def _states(details: dict[str, Any]) -> Counter[str]:
    return Counter(
        str(replica["state"])
        for deployment in details.get("deployments", {}).values()
        for replica in deployment["replicas"]
    )


def _sources(home: Path) -> Path:
    """A folder with the chutes, and what they import: all of it is sent to the cluster."""
    folder = home / "sources"
    for file in _SHIPPED:
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    shutil.copy(_CHUTES, folder)
    return folder


def _ray_python() -> str:
    """The interpreter of the environment with Ray that the tests have, which is made when it is not there."""
    command = ["bash", str(ROOT / ".ci" / "ray.sh")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: see above.")
    return done.stdout.strip()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
