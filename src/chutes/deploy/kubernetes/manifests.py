"""From a plan to the objects of Kubernetes."""

from typing import Any

from chutes.deploy.kubernetes.options import ManifestOptions
from chutes.deploy.plan import Plan

__all__ = ["manifests"]


def manifests(plan: Plan, options: ManifestOptions = ManifestOptions()) -> list[dict[str, Any]]:  # noqa: B008 - frozen
    """The objects that run a plan, in the order in which they are to be applied."""
    return []
