"""A platform that exists only in memory, for tests of what deploys."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from chutes.deploy.deployment import Deployment, Instance, Revision
from chutes.deploy.plan import Plan
from chutes.deploy.platforms import KEPT_REVISIONS, Say
from chutes.errors import DeployError

__all__ = ["FakePlatform"]


class FakePlatform:
    """A `Platform` on which everything is ready at once.

    Attributes:
        running: the deployments by their slug.
        lines: what `logs` gives, by slug.
        refusal: when set, `apply` keeps the revision as failed and raises a `DeployError` with this text.
    """

    def __init__(self) -> None:
        self.running: dict[str, Deployment] = {}
        self.lines: dict[str, list[str]] = {}
        self.refusal: str | None = None

    def deployments(self) -> Sequence[Deployment]:
        """All of them, sorted by slug."""
        return [self.running[slug] for slug in sorted(self.running)]

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Have it run, or refuse."""
        before = self.running.get(plan.slug)
        number = before.revisions[-1].number + 1 if before else 1
        revision = Revision(number=number, plan=plan, created_at=datetime.now(UTC), note=note)
        kept = before.revisions if before else ()
        if self.refusal is not None:
            failed = (*kept, replace(revision, outcome="failed"))
            if before:
                self.running[plan.slug] = replace(before, revisions=failed)
            raise DeployError(self.refusal)
        say(f"Revision {number} of {plan.slug} is ready.")
        self.running[plan.slug] = Deployment(
            revisions=(*kept, revision)[-KEPT_REVISIONS:],
            current=number,
            instances=_instances(plan, number),
            url="http://127.0.0.1:8000",
        )
        return self.running[plan.slug]

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The lines that a test put there."""
        self._known(slug)
        yield from self.lines.get(slug, [])[-lines:]

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """Forget it."""
        self._known(slug)
        del self.running[slug]
        say(f"Deleted {slug}.")

    def _known(self, slug: str) -> None:
        if slug not in self.running:
            raise DeployError(f"No chute '{slug}' runs here.")


def _instances(plan: Plan, number: int) -> tuple[Instance, ...]:
    wanted = max(plan.min_instances, 1) if plan.instances is None else plan.instances
    return tuple(
        Instance(name=f"{plan.name}-{number}-{index}", state="ready", revision=number)
        for index in range(wanted)
    )
