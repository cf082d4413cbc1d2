"""Objects of Kubernetes as YAML."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["yaml_text"]


def yaml_text(objects: Iterable[Mapping[str, Any]]) -> str:
    """YAML of several documents, the same for the same objects."""
    import yaml

    return str(yaml.safe_dump_all(map(dict, objects), sort_keys=False))
