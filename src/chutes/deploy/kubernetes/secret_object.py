"""The Secret that keeps the values of a chute's secrets: written on a deploy, never shown."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chutes.deploy.kubernetes.kubectl import Kubectl
from chutes.deploy.kubernetes.names import metadata
from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.kubernetes.pod import secret_name
from chutes.deploy.kubernetes.yaml_text import yaml_text
from chutes.deploy.plan import Plan, Secret
from chutes.errors import DeployError

__all__ = ["SecretObject"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SecretObject:
    """What the Secret of a chute held, and is to hold.

    Attributes:
        kubectl: how the cluster is reached.
        about: its metadata.
        before: its values as base64, None when it was not there.
        after: those that it is to have; values that only former revisions used stay, for one may go back to them.
    """

    kubectl: Kubectl
    about: Mapping[str, Any]
    before: Mapping[str, str] | None
    after: Mapping[str, str]

    @classmethod
    def of(
        cls,
        kubectl: Kubectl,
        plan: Plan,
        options: ManifestOptions,
        value_of: Callable[[Secret], str | None],
    ) -> "SecretObject":
        """Compare what a plan's secrets are worth here with what the cluster has.

        Raises:
            DeployError: some have no value in either place.
        """
        about = metadata(plan, options, suffix="-secrets")
        if not plan.secrets:
            return cls(kubectl=kubectl, about=about, before=None, after={})
        found = kubectl.get("secrets", name=secret_name(plan))
        before: Mapping[str, str] | None = found[0].get("data", {}) if found else None
        after, missing = dict(before or {}), []
        for secret in plan.secrets:
            value = value_of(secret)
            if value is not None:
                after[secret.name] = base64.b64encode(value.encode()).decode()
            elif secret.name not in after:
                missing.append(secret.name)
        if missing:
            raise DeployError(
                f"No value for {', '.join(missing)}, neither here nor in the cluster. Set the variable, for example "
                f"export {missing[0]}=..., or name a file: --secret {missing[0]}=FILE."
            )
        return cls(kubectl=kubectl, about=about, before=before, after=after)

    @property
    def is_new(self) -> bool:
        """Pods that run have other values, or none."""
        return bool(self.after) and self.after != self.before

    def put(self) -> None:
        """Write it, if anything is new."""
        if self.is_new:
            self._write(self.after)

    def take_back(self) -> None:
        """Have it as it was."""
        if not self.is_new:
            return
        if self.before is None:
            self.kubectl.delete([f"secret/{self.about['name']}"])
        else:
            self._write(self.before)

    def _write(self, data: Mapping[str, str]) -> None:
        written = {"apiVersion": "v1", "kind": "Secret", "metadata": self.about, "type": "Opaque"}
        self.kubectl.apply(yaml_text([written | {"data": dict(data)}]))
