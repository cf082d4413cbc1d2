"""Which model `chutes models pull` means: one that is named, or the one that a chute serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chutes.chute.chute import definition_of
from chutes.chute.engine import EngineSpec
from chutes.engines.hardware import MachineProbe
from chutes.engines.installed import look_into
from chutes.engines.pick import usable_forms
from chutes.errors import EngineError, ModelError
from chutes.loading import load_chute
from chutes.models.model import Form

__all__ = ["Wanted", "wanted_model"]

_ALL: Sequence[Form] = ("folder", "gguf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to look for."""

    name: str
    revision: str | None
    forms: Sequence[Form] = _ALL


def wanted_model(target: str, revision: str | None) -> Wanted:
    """Tell what the words on the command line mean.

    Raises:
        LoadError: they name a chute that cannot be loaded.
        ModelError: they name a chute that serves no model.
    """
    if not _is_chute(target):
        return Wanted(name=target, revision=revision)
    spec = definition_of(load_chute(target)).engine
    if spec is None:
        raise ModelError(f"The chute {target} serves no model: it has no model_name.")
    return Wanted(name=spec.model_name, revision=revision or spec.revision, forms=_forms_for(spec))


def _is_chute(target: str) -> bool:
    before = target.partition(":")[0]
    if before.endswith(".py"):
        return True
    module = Path(*before.split("."))
    return "/" not in before and (module.with_suffix(".py").is_file() or (module / "__init__.py").is_file())


def _forms_for(spec: EngineSpec) -> Sequence[Form]:
    """What the engines of this machine take; anything, where another machine is to serve it."""
    try:
        return usable_forms(spec, MachineProbe().look(), look_into(spec.python))
    except EngineError:
        return _ALL
