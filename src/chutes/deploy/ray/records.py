"""The revisions of a chute, kept with its application on the cluster rather than on anybody's laptop."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from chutes.deploy.deployment import Outcome, Revision
from chutes.deploy.plan import Plan
from chutes.deploy.platforms import KEPT_REVISIONS
from chutes.deploy.ray.config import Code

__all__ = ["Record", "Records"]

_KEY = "chutes"


@dataclass(frozen=True, slots=True)
class Record:
    """A revision, and where its code is.

    Attributes:
        revision: what was to run.
        code: what it ran from.
    """

    revision: Revision
    code: Code


@dataclass(frozen=True, slots=True)
class Records:
    """All that are kept of a chute.

    Attributes:
        kept: the newest last.
        current: the number of the one that answers.
    """

    kept: tuple[Record, ...] = ()
    current: int = 0

    @classmethod
    def of(cls, application: Mapping[str, Any]) -> Self:
        """What an application's configuration holds; nothing where it is none of ours."""
        for deployment in application.get("deployments") or ():
            written = (deployment.get("user_config") or {}).get(_KEY)
            if written is not None:
                return cls(tuple(_read(one) for one in written["revisions"]), written["current"])
        return cls()

    @property
    def newest(self) -> int:
        """The highest number, 0 for none."""
        return self.kept[-1].revision.number if self.kept else 0

    def with_new(self, record: Record) -> "Records":
        """One more, which is the current one; the oldest are forgotten."""
        return Records((*self.kept, record)[-KEPT_REVISIONS:], record.revision.number)

    def with_failed(self, record: Record) -> "Records":
        """One more that did not get ready: what was current stays so, and is kept however many failed since."""
        failed = replace(record, revision=replace(record.revision, outcome="failed"))
        kept = (*self.kept, failed)
        surplus = len(kept) - KEPT_REVISIONS
        dropped = [one for one in kept if one.revision.number != self.current][: max(surplus, 0)]
        return Records(tuple(one for one in kept if one not in dropped), self.current)

    def code_of(self, plan: Plan) -> Code | None:
        """The code of a revision with the same files and image, None when none is kept."""
        for record in self._current_first():
            there = record.revision.plan
            if (there.digest, there.image, there.target) == (plan.digest, plan.image, plan.target):
                return record.code
        return None

    def secrets_of(self, names: frozenset[str]) -> str | None:
        """Where the values of exactly these secrets are, None when no revision has them."""
        for record in self._current_first():
            there = frozenset(secret.name for secret in record.revision.plan.secrets)
            if record.code.secrets and there == names:
                return record.code.secrets
        return None

    def _current_first(self) -> list[Record]:
        """What answers now has no replica start anew when it is scaled; then the newest that got ready."""
        ready = [record for record in reversed(self.kept) if record.revision.outcome == "ready"]
        return sorted(ready, key=lambda record: record.revision.number != self.current)

    def revisions(self) -> tuple[Revision, ...]:
        """Them without their code."""
        return tuple(record.revision for record in self.kept)

    def written(self, application: Mapping[str, Any]) -> dict[str, Any]:
        """An application's configuration that holds them.

        They stand where a change has no replica start anew.
        """
        first, *others = application["deployments"]
        written = {"current": self.current, "revisions": [_written(record) for record in self.kept]}
        return {**application, "deployments": [{**first, "user_config": {_KEY: written}}, *others]}


def _written(record: Record) -> dict[str, Any]:
    revision, code = record.revision, record.code
    return {
        "number": revision.number,
        "plan": revision.plan.to_json(),
        "created_at": revision.created_at.isoformat(),
        "outcome": revision.outcome,
        "note": revision.note,
        "code": asdict(code),
    }


def _read(written: Mapping[str, Any]) -> Record:
    outcome: Outcome = "failed" if written["outcome"] == "failed" else "ready"
    revision = Revision(
        number=written["number"],
        plan=Plan.from_json(written["plan"]),
        created_at=datetime.fromisoformat(written["created_at"]),
        outcome=outcome,
        note=written["note"],
    )
    code = {**written["code"], "requirements": tuple(written["code"]["requirements"])}
    return Record(revision, Code(**code))
