"""The applications of Ray Serve: read, changed one at a time, and shown as deployments."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from chutes.deploy.deployment import Deployment, Instance, InstanceState
from chutes.deploy.ray.dashboard import Dashboard
from chutes.deploy.ray.nodes import node_names
from chutes.deploy.ray.records import Records

__all__ = ["Applications"]

_DECLARED = "declarative"
_GONE = "DELETING"
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - it is read, not bound
_OPTIONS = ("http_options", "grpc_options", "proxy_location", "target_capacity")
_STATES: Mapping[str, InstanceState] = {
    "STARTING": "starting",
    "UPDATING": "ready",
    "RECOVERING": "starting",
    "RUNNING": "ready",
    "PENDING_MIGRATION": "ready",
    "STOPPING": "draining",
}


class Applications:
    """What Serve runs on one cluster.

    Args:
        dashboard: of the cluster.
        url: where its applications are called; None: at the address of the dashboard, on Serve's port.
    """

    def __init__(self, dashboard: Dashboard, url: str | None) -> None:
        self._dashboard = dashboard
        self._url = url

    def details(self, name: str) -> dict[str, Any] | None:
        """What Serve says of an application, None when there is none."""
        found: dict[str, Any] | None = self._dashboard.serve()["applications"].get(name)
        return found

    def config(self, name: str) -> dict[str, Any] | None:
        """How an application is configured, None when there is none, or it is being deleted."""
        return _declared(self._dashboard.serve()).get(name)

    def put(self, application: Mapping[str, Any]) -> None:
        """Run an application, in the place of one of the same name; the others stay as they are.

        Raises:
            DeployError: Serve refuses it.
        """
        self._replace(str(application["name"]), application)

    def remove(self, name: str) -> None:
        """Delete an application; the others stay as they are."""
        self._replace(name, None)

    def deployments(self) -> Sequence[Deployment]:
        """Those that are chutes of ours, sorted by their slug."""
        state = self._dashboard.serve()
        base = self._url or _base(self._dashboard.address, state)
        places = node_names(self._dashboard.nodes())
        found = [
            _deployment(Records.of(config), state["applications"][name], base, places)
            for name, config in _declared(state).items()
            if Records.of(config).kept
        ]
        return sorted(found, key=lambda one: one.slug)

    def _replace(self, name: str, application: Mapping[str, Any] | None) -> None:
        # Whatever the document leaves out is deleted: between these two requests nothing else is done.
        state = self._dashboard.serve()
        wanted = _declared(state)
        wanted.pop(name, None)
        if application is not None:
            wanted[name] = dict(application)
        options = {key: state[key] for key in _OPTIONS if state.get(key) is not None}
        self._dashboard.put_serve({**options, "applications": list(wanted.values())})


def _declared(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configurations of those that came as documents; those of `serve.run` live without one."""
    return {
        name: {"name": name, **details["deployed_app_config"]}
        for name, details in state["applications"].items()
        if details.get("source") == _DECLARED
        and details["status"] != _GONE
        and details.get("deployed_app_config") is not None
    }


def _base(dashboard: str, state: Mapping[str, Any]) -> str | None:
    options = state.get("http_options") or {}
    host = options.get("host", "")
    shown = urlsplit(dashboard).hostname if host in _EVERYWHERE else host
    scheme = "https" if options.get("ssl_certfile") else "http"
    return f"{scheme}://{shown}:{options['port']}" if options.get("port") else None


def _deployment(
    records: Records, details: Mapping[str, Any], base: str | None, places: Mapping[str, str]
) -> Deployment:
    slug = records.kept[-1].revision.plan.slug
    return Deployment(
        revisions=records.revisions(),
        current=records.current,
        instances=tuple(_instances(records, details, places)),
        url=f"{base.rstrip('/')}/{slug}" if base and details.get("route_prefix") else None,
    )


def _instances(records: Records, details: Mapping[str, Any], places: Mapping[str, str]) -> list[Instance]:
    failing = details["status"] in ("DEPLOY_FAILED", "UNHEALTHY")
    found = []
    for deployment in details["deployments"].values():
        for replica in deployment["replicas"]:
            state = _STATES.get(replica["state"], "starting")
            if state == "starting" and not replica.get("node_id"):
                state = "failed" if failing else "waiting"
            found.append(
                Instance(
                    name=replica["replica_id"],
                    state=state,
                    revision=records.current,
                    place=places.get(replica.get("node_id") or "") or replica.get("node_ip") or "",
                    detail=deployment["message"] if state in ("waiting", "starting", "failed") else "",
                )
            )
    return found
