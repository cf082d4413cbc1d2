"""A dashboard of a Ray cluster that exists only as its HTTP API: what is put there runs at once, unless it is told to fail."""

import copy
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

TOKEN = "a-token-that-is-long-enough-for-ray"
NO_ROOM = (
    "Deployment 'chute' in application 'me:hello' has 1 replicas that have taken more than 30s to be scheduled. "
    'Resources required for each replica: {"CPU": 1}, total resources available: {}. Use `ray status` for more details.'
)


class FakeRay:
    """What the cluster has and runs.

    Attributes:
        ray: its version of Ray; likewise `python`.
        rows: its nodes, as the state API lists them.
        running: Serve's applications by name: how each is configured.
        by_code: those of `running` that came by `serve.run`, and have no configuration.
        packages: what was uploaded.
        documents: what was put, in order.
        fails: target → the reason why its replicas do not start.
        full: while old replicas run, no node has room for a new one.
        after_next_put: called once, as somebody else who deploys meanwhile.
    """

    def __init__(self) -> None:
        self.ray, self.python = "2.60.0", "3.11.7"
        self.rows: list[dict[str, Any]] = [node("10.0.0.1", CPU=8.0)]
        self.running: dict[str, dict[str, Any]] = {}
        self.by_code: set[str] = set()
        self.packages: dict[str, bytes] = {}
        self.documents: list[dict[str, Any]] = []
        self.fails: dict[str, str] = {}
        self.full = False
        self.after_next_put = None
        self.lines = ["a line of its log"]
        self.types: dict[str, str] = {}
        self.app = Starlette(
            routes=[
                Route("/api/version", self._version),
                Route("/api/v0/cluster_metadata", self._metadata),
                Route("/api/v0/nodes", self._nodes),
                Route("/api/cluster_status", self._status),
                Route("/api/serve/applications/", self._serve, methods=["GET", "PUT"]),
                Route("/api/packages/gcs/{name}", self._package, methods=["GET", "PUT"]),
                Route("/api/v0/logs/file", self._log),
            ]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, to those who have the token."""
        told = dict(scope["headers"]).get(b"authorization")
        if told is None:
            await PlainTextResponse("Missing authentication token", 401)(scope, receive, send)
        elif told != f"Bearer {TOKEN}".encode():
            await PlainTextResponse("Invalid authentication token", 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _version(self, _request: Request) -> Response:
        return JSONResponse({"ray_version": self.ray})

    async def _metadata(self, _request: Request) -> Response:
        return JSONResponse({"data": {"pythonVersion": self.python}})

    async def _nodes(self, _request: Request) -> Response:
        return JSONResponse({"data": {"result": {"result": self.rows}}})

    async def _status(self, _request: Request) -> Response:
        return JSONResponse(
            {"data": {"clusterStatus": {"autoscalerReport": {"nodeTypeMapping": self.types}}}}
        )

    async def _package(self, request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "PUT":
            self.packages[name] = await request.body()
        return Response(status_code=200 if name in self.packages else 404)

    async def _log(self, _request: Request) -> Response:
        return PlainTextResponse("\n".join([":job_id:01", *self.lines]))

    async def _serve(self, request: Request) -> Response:
        if request.method == "PUT":
            self._put(await request.json())
            return Response()
        applications = {name: self._details(name, config) for name, config in self.running.items()}
        options = {"host": "0.0.0.0", "port": 8000}
        return JSONResponse({"http_options": options, "applications": applications, "target_capacity": None})

    def _put(self, document: dict[str, Any]) -> None:
        self.documents.append(document)
        kept = {name: config for name, config in self.running.items() if name in self.by_code}
        self.running = kept | {one["name"]: copy.deepcopy(one) for one in document["applications"]}
        happens, self.after_next_put = self.after_next_put, None
        if happens is not None:
            happens()

    def _details(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        if name in self.by_code:
            return {
                "source": "imperative",
                "status": "RUNNING",
                "deployed_app_config": None,
                "deployments": {},
            }
        reason = self.fails.get(config.get("args", {}).get("target", ""))
        scaling = config["deployments"][0].get("autoscaling_config", {})
        waits = self.full and not reason and config["deployments"][0].get("max_surge_percent", 0) > 0
        if waits:
            reason = NO_ROOM
        replicas = [
            replica(n, "STARTING" if reason and not waits else "RUNNING")
            for n in range(scaling.get("min_replicas", 1))
        ]
        return {
            "source": "declarative",
            "status": "DEPLOYING" if waits else "DEPLOY_FAILED" if reason else "RUNNING",
            "message": "",
            "route_prefix": config.get("route_prefix"),
            "deployed_app_config": config,
            "deployments": {"chute": {"message": reason or "", "replicas": replicas}},
        }


def node(address: str, labels: dict[str, str] | None = None, **resources: float) -> dict[str, Any]:
    """A node that is alive, with memory for anything."""
    total = {"memory": 64e9, **resources}
    return {
        "node_id": "n",
        "node_name": f"at-{address}",
        "node_ip": address,
        "state": "ALIVE",
        "labels": labels or {},
        "resources_total": total,
    }


def replica(number: int, state: str) -> dict[str, Any]:
    """A replica as Serve describes it."""
    return {
        "replica_id": f"replica-{number}",
        "state": state,
        "node_id": "n",
        "node_ip": "10.0.0.1",
        "actor_id": f"actor-{number}",
        "start_time_s": float(number),
    }
