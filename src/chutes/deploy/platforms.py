"""Where chutes run: the few things that every platform can do."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from chutes.deploy.deployment import Deployment
from chutes.deploy.plan import Plan

__all__ = ["KEPT_REVISIONS", "Platform", "Say"]

KEPT_REVISIONS = 10
"""How many revisions of a deployment a platform keeps."""

Say = Callable[[str], None]
"""Gets a line of progress at a time."""


class Platform(Protocol):
    """A machine or a cluster that runs chutes.

    Listing, status, scaling and going back are made of these in `chutes.deploy.service`.
    """

    def deployments(self) -> Sequence[Deployment]:
        """All chutes that run here, sorted by their slug. Raises DeployError when the platform cannot be asked."""

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Make it so as a new revision, and wait until it is ready.

        What ran before answers until then. When the new revision does not get ready, what ran before is left or put
        back, the revision is kept as failed, and the error carries the last lines of its log.

        Raises:
            DeployError: nothing here satisfies the plan, or it did not get ready.
        """

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The last lines that the instances wrote, and then those that come. Raises DeployError for an unknown one."""

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """End it and forget its revisions; with `data` also what it kept. Raises DeployError."""
