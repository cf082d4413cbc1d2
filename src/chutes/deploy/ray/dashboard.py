"""The HTTP API of a Ray cluster's dashboard: the few calls that deploying takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from chutes.deploy.ray.packages import Package
from chutes.errors import DeployError

__all__ = ["Dashboard"]

_SECONDS = 60.0
# The first application has the cluster start Serve's own processes.
_PUT_SECONDS = 180.0
_SERVE = "/api/serve/applications/"
_SUCCESS = 200
_UNAUTHORIZED = (401, 403)
_NOT_FOUND = 404


class Dashboard:
    """Talks to a dashboard.

    Args:
        address: such as `http://127.0.0.1:8265`.
        token: sent with every request; None for a cluster that asks for none.
    """

    def __init__(self, address: str, token: str | None) -> None:
        self.address = address.rstrip("/")
        self._has_token = bool(token)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ray_version(self) -> str:
        """The version of Ray there.

        Raises:
            DeployError: nothing answers, something else does, or the token is missing or wrong; so do all others here.
        """
        found = self._json("GET", "/api/version").get("ray_version")
        if not isinstance(found, str):
            raise DeployError(f"{self.address} answers, and is no dashboard of a Ray cluster.")
        return found

    def python_version(self) -> str:
        """The version of Python that its head runs with; empty where it does not tell."""
        data = self._json("GET", "/api/v0/cluster_metadata").get("data", {})
        return str(data.get("pythonVersion", ""))

    def serve(self) -> dict[str, Any]:
        """What Serve runs: its options, proxies and applications."""
        return self._json("GET", _SERVE)

    def put_serve(self, document: Mapping[str, Any]) -> None:
        """Have Serve run these applications, and no others that came this way.

        Raises:
            DeployError: Serve refuses the document.
        """
        with self._sent("PUT", _SERVE, json=document, timeout=_PUT_SECONDS) as response:
            if response.status_code != _SUCCESS:
                raise DeployError(f"Ray Serve refused the application: {_text(response)}")

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes as the cluster's state has them: `node_id`, `node_name`, `node_ip`, `state` and more."""
        query = {"limit": "10000", "detail": "true"}
        found = self._json("GET", "/api/v0/nodes", params=query)
        return list(found.get("data", {}).get("result", {}).get("result", []))

    def autoscaling(self) -> dict[str, Any]:
        """What the cluster's autoscaler reports, empty where there is none."""
        found = self._json("GET", "/api/cluster_status").get("data", {})
        return dict(found.get("clusterStatus") or {})

    def upload(self, package: Package) -> None:
        """Put a package into the cluster's store, unless it is there."""
        path = f"/api/packages/gcs/{package.name}"
        with self._sent("GET", path) as response:
            if response.status_code == _SUCCESS:
                return
        with self._sent("PUT", path, content=package.content, timeout=_PUT_SECONDS) as response:
            if response.status_code != _SUCCESS:
                raise DeployError(f"The Ray cluster did not take the chute's files: {_text(response)}")

    def log(self, actor: str, kind: str, lines: int) -> list[str]:
        """The last lines that an actor wrote; none where they are gone.

        Args:
            actor: its id.
            kind: "err" or "out".
            lines: how many.
        """
        query = {"actor_id": actor, "suffix": kind, "lines": str(lines)}
        with self._sent("GET", "/api/v0/logs/file", params=query) as response:
            return response.read().decode(errors="replace").splitlines() if response.is_success else []

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._sent(method, path, **options) as response:
            if response.status_code == _NOT_FOUND:
                raise DeployError(f"{self.address} answers, and is no dashboard of a Ray cluster.")
            if response.status_code != _SUCCESS:
                raise DeployError(f"The Ray cluster at {self.address} failed: {_text(response)}")
            try:
                found: dict[str, Any] = response.json()
            except ValueError as exc:
                raise DeployError(f"{self.address} answers, and is no dashboard of a Ray cluster.") from exc
            return found

    @contextmanager
    def _sent(
        self, method: str, path: str, timeout: float = _SECONDS, **options: Any
    ) -> Iterator[httpx2.Response]:
        try:
            response = httpx2.request(
                method, f"{self.address}{path}", headers=self._headers, timeout=timeout, **options
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise DeployError(
                f"No Ray cluster answers at {self.address}: {str(exc) or type(exc).__name__}. Start one here with "
                "`chutes cluster up`, or name the dashboard of yours, for example --address http://ray-head:8265."
            ) from exc
        if response.status_code in _UNAUTHORIZED:
            raise DeployError(self._about_the_token())
        yield response

    def _about_the_token(self) -> str:
        wrong = "does not take this token" if self._has_token else "asks for a token"
        return (
            f"The Ray cluster at {self.address} {wrong}. Give it the one that its nodes were started with: set RAY_AUTH_TOKEN, "
            "or RAY_AUTH_TOKEN_PATH to the file that has it."
        )


def _text(response: httpx2.Response) -> str:
    return response.text.strip()[-2000:] or f"status {response.status_code}"
