"""How the objects of a chute are called, and the labels that they are found by."""

import hashlib
from typing import Any

from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.plan import Plan

__all__ = ["MANAGED", "REVISIONS", "labels", "metadata", "object_name", "selector"]

MANAGED = "app.kubernetes.io/managed-by=chutes"
"""The labels of every object that is written here."""
REVISIONS = "revisions"
"""The component that keeps the revisions of a deployment."""

# Knative makes names of services from it, by adding some 15 characters to the 63 of a DNS label.
_LONGEST = 45
_DIGEST = 6


def object_name(username: str, name: str) -> str:
    """A DNS label that no other chute has: `username-name`, with a digest where that could mean two or is too long."""
    plain = f"{username}-{name}"
    if plain[0].isdigit():
        plain = f"chute-{plain}"
    if "-" not in username and len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256(f"{username}/{name}".encode()).hexdigest()[:_DIGEST]
    return f"{plain[: _LONGEST - _DIGEST - 1].rstrip('-')}-{digest}"


def selector(plan: Plan, component: str = "server") -> dict[str, str]:
    """The labels that tell the pods of a chute; they never change, for those of a Deployment cannot."""
    return {
        "app.kubernetes.io/instance": object_name(plan.username, plan.name),
        "app.kubernetes.io/component": component,
    }


def labels(plan: Plan, component: str = "server") -> dict[str, str]:
    """All labels of an object."""
    return {
        "app.kubernetes.io/name": plan.name,
        **selector(plan, component),
        "app.kubernetes.io/part-of": plan.username,
        "app.kubernetes.io/managed-by": "chutes",
    }


def metadata(
    plan: Plan,
    options: ManifestOptions,
    *,
    suffix: str = "",
    component: str = "server",
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The metadata of an object; the suffix tells objects of one kind apart."""
    about: dict[str, Any] = {"name": object_name(plan.username, plan.name) + suffix}
    if options.namespace:
        about["namespace"] = options.namespace
    about["labels"] = labels(plan, component)
    if annotations:
        about["annotations"] = annotations
    return about
