"""A Ray cluster as a platform, reached over its dashboard's HTTP API: no Ray is needed here."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from chutes.build.context import Context
from chutes.deploy.deployment import Deployment
from chutes.deploy.plan import Plan
from chutes.deploy.platforms import Say
from chutes.errors import DeployError

__all__ = ["RayPlatform"]


class RayPlatform:
    """A `Platform` that runs each chute as an application of Ray Serve.

    A plan without an image runs from the chute's files, which are sent to the cluster: `context` has them. One with
    an image runs inside of it, on nodes that have podman.

    Args:
        address: of the dashboard, such as `http://127.0.0.1:8265`.
        token: what the cluster asks for; None for one that asks for none.
        context: the files of the chute that is about to be applied; scaling and going back need none.
        secrets: values of the plan's secrets by name; those that are missing stay as the cluster has them.
        url: where the chutes are called, such as `https://chutes.example.com`; None: the cluster is asked.
        timeout: seconds in which a revision has to get ready.
    """

    def __init__(
        self,
        *,
        address: str,
        token: str | None = None,
        context: Context | None = None,
        secrets: Mapping[str, str] = MappingProxyType({}),
        url: str | None = None,
        timeout: float = 900,
    ) -> None:
        self._address = address.rstrip("/")
        self._token = token
        self._context = context
        self._secrets = secrets
        self._url = url
        self._timeout = timeout

    def deployments(self) -> Sequence[Deployment]:
        """All chutes that run there, sorted by slug."""
        raise DeployError("Not yet.")

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Have it run as a new revision; one that does not get ready is taken back."""
        raise DeployError("Not yet.")

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The last lines of its replicas."""
        raise DeployError("Not yet.")

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """Take the application away."""
        raise DeployError("Not yet.")
