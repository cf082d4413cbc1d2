"""Objects of Kubernetes as YAML."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["yaml_text"]

_WIDE = 10_000


def yaml_text(objects: Iterable[Mapping[str, Any]]) -> str:
    """YAML of several documents, the same for the same objects; every text that could be another type is quoted."""
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML comes without types
        def ignore_aliases(self, _data: object) -> bool:
            """Labels stand in many places: each is written out."""
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(
        yaml.dump_all(
            map(dict, objects),
            Dumper=Dumper,
            sort_keys=False,
            explicit_start=True,
            allow_unicode=True,
            width=_WIDE,
        )
    )
