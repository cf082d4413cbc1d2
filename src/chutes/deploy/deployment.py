"""What runs on a platform: a deployment, its revisions and its instances."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from chutes.deploy.plan import Plan

__all__ = ["Deployment", "Instance", "InstanceState", "Outcome", "Revision"]

InstanceState = Literal["waiting", "starting", "ready", "draining", "failed"]
Outcome = Literal["ready", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running copy of a chute.

    Attributes:
        name: what the platform calls it.
        state: waiting for a machine, starting, ready, draining, or failed.
        revision: the number of the revision that it runs.
        place: the machine that it runs on, empty while it waits.
        detail: why it waits or failed, empty otherwise.
        restarts: how often it was started again.
    """

    name: str
    state: InstanceState
    revision: int
    place: str = ""
    detail: str = ""
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One plan that was applied.

    Attributes:
        number: 1 for the first.
        plan: what was to run.
        created_at: with its zone.
        outcome: whether it got ready.
        note: what made it, such as "deploy", "scale to 3" or "rollback to 2".
    """

    number: int
    plan: Plan
    created_at: datetime
    outcome: Outcome = "ready"
    note: str = "deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One chute on a platform.

    Attributes:
        revisions: the newest last; never empty.
        current: the number of the revision that answers.
        instances: the running copies, those that drain included.
        url: where it answers, None when only the platform's inside reaches it.
    """

    revisions: tuple[Revision, ...]
    current: int
    instances: tuple[Instance, ...] = ()
    url: str | None = None

    @property
    def plan(self) -> Plan:
        """The plan of the current revision."""
        return self.revision(self.current).plan

    @property
    def slug(self) -> str:
        """`username/name`."""
        return self.revisions[-1].plan.slug

    @property
    def ready(self) -> int:
        """How many instances answer."""
        return sum(instance.state == "ready" for instance in self.instances)

    def revision(self, number: int) -> Revision:
        """The revision of a number.

        Raises:
            KeyError: there is none, or it is no longer kept.
        """
        for revision in self.revisions:
            if revision.number == number:
                return revision
        raise KeyError(number)
