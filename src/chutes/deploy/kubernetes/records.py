"""What a cluster keeps of a chute's revisions, in a ConfigMap beside its objects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from chutes.deploy.deployment import Revision
from chutes.deploy.kubernetes.names import REVISIONS, metadata, object_name
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.plan import Plan
from chutes.deploy.platforms import KEPT_REVISIONS
from chutes.errors import DeployError

__all__ = ["Record", "record_name"]


def record_name(plan: Plan) -> str:
    """The name of the ConfigMap."""
    return f"{object_name(plan.username, plan.name)}-{REVISIONS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A chute as it was deployed.

    Attributes:
        revisions: the newest last.
        current: the number of the one that answers.
        templates: by the number of each revision what tells its pods.
        options: how its plans are written down.
        secrets_revision: the revision that changed values of secrets last; 0 without secrets.
        url: where it answers; None: inside of the cluster alone.
    """

    revisions: tuple[Revision, ...]
    current: int
    templates: Mapping[int, str] = field(default_factory=dict)
    options: ManifestOptions = field(default_factory=ManifestOptions)
    secrets_revision: int = 0
    url: str | None = None

    @property
    def plan(self) -> Plan:
        """The plan that answers."""
        return next(one.plan for one in self.revisions if one.number == self.current)

    @property
    def numbers(self) -> dict[str, int]:
        """By what tells pods, the newest revision that they may belong to."""
        return {self.templates[number]: number for number in sorted(self.templates)}

    def with_revision(self, revision: Revision, template: str) -> tuple[tuple[Revision, ...], dict[int, str]]:
        """The revisions and templates that are kept with one more; the current one always is."""
        revisions = (*self.revisions, revision)
        kept = revisions[-KEPT_REVISIONS:]
        if revision.outcome == "failed" and all(one.number != self.current for one in kept):
            kept = (next(one for one in revisions if one.number == self.current), *kept[1:])
        numbers = {one.number for one in kept}
        templates = {**self.templates, revision.number: template}
        return kept, {number: text for number, text in templates.items() if number in numbers}

    def config_map(self) -> dict[str, Any]:
        """The object that keeps it."""
        data = {
            "current": str(self.current),
            "secrets-revision": str(self.secrets_revision),
            "options": self.options.to_json(),
            "revisions": json.dumps([self._written(one) for one in self.revisions]),
        }
        if self.url:
            data["url"] = self.url
        about = metadata(
            self.plan,
            self.options,
            suffix=f"-{REVISIONS}",
            component=REVISIONS,
            annotations={"chutes.slug": self.plan.slug},
        )
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}

    @classmethod
    def of(cls, config_map: Mapping[str, Any]) -> Self:
        """Read what `config_map` wrote.

        Raises:
            DeployError: somebody else wrote it.
        """
        try:
            data = config_map["data"]
            entries = json.loads(data["revisions"])
            return cls(
                revisions=tuple(_read(entry) for entry in entries),
                current=int(data["current"]),
                templates={entry["number"]: entry["template"] for entry in entries},
                options=ManifestOptions.from_json(data["options"]),
                secrets_revision=int(data["secrets-revision"]),
                url=data.get("url"),
            )
        except (KeyError, ValueError, TypeError) as exc:
            name = config_map.get("metadata", {}).get("name")
            raise DeployError(f"The ConfigMap '{name}' does not hold revisions of a chute: {exc!r}.") from exc

    def _written(self, revision: Revision) -> dict[str, Any]:
        return {
            "number": revision.number,
            "created_at": revision.created_at.isoformat(),
            "outcome": revision.outcome,
            "note": revision.note,
            "template": self.templates.get(revision.number, ""),
            "plan": json.loads(revision.plan.to_json()),
        }


def _read(entry: Mapping[str, Any]) -> Revision:
    return Revision(
        number=entry["number"],
        plan=Plan.from_json(json.dumps(entry["plan"])),
        created_at=datetime.fromisoformat(entry["created_at"]),
        outcome=entry["outcome"],
        note=entry["note"],
    )
