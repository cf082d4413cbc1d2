"""Import the module that a reference means, and take the chute out of it."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from chutes.chute import Chute, ChutePack
from chutes.errors import ChutesError, LoadError
from chutes.loading.diagnosis import explain
from chutes.loading.reference import Place, locate
from chutes.loading.stand_ins import standing_in
from chutes.suggestions import did_you_mean
from chutes.tracebacks import is_user_file, readable

__all__ = ["LoadedChute", "is_loading", "load", "load_chute"]

_loading: ContextVar[bool] = ContextVar("chutes_loading", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedChute:
    """A chute, and how it was found.

    Attributes:
        name: the chute's name in its module.
        stand_ins: the libraries that this machine lacks and that were replaced for the load.
    """

    chute: Chute
    place: Place
    name: str
    stand_ins: tuple[str, ...] = ()


def load_chute(reference: str, *, stand_ins: bool = False) -> Chute:
    """Import what `reference` means and return its chute; see `load`."""
    return load(reference, stand_ins=stand_ins).chute


def load(reference: str, *, stand_ins: bool = False) -> LoadedChute:
    """Import what `reference` means and find its chute.

    The module is known to Python under its natural name, never as `__main__`. The folder of a file that is
    named by its path, and the working folder, come first on `sys.path`, and stay there.

    Args:
        reference: `module:attribute` or `path/to/app.py:attribute`; the attribute may be left out when
            there is one chute.
        stand_ins: replace libraries that this machine lacks; see `chutes.loading.stand_ins`.

    Raises:
        LoadError: the reference leads to no chute. When the user's own code failed, its exception is the
            cause.
        DefinitionError: the module defines a chute that cannot be.
    """
    place = locate(reference)
    sys.path[:] = _path_with(place.search_path)
    with ExitStack() as stack:
        replaced = stack.enter_context(standing_in()) if stand_ins else []
        stack.enter_context(_explained(place, replaced))
        stack.enter_context(_marked())
        module = _import(place)
    name, chute = _named(place, module) if place.attribute else _only(place, module)
    return LoadedChute(chute=chute, place=place, name=name, stand_ins=tuple(replaced))


def is_loading() -> bool:
    """Whether this code runs because a module is being loaded: `run_local` must not serve then."""
    return _loading.get()


@contextmanager
def _marked() -> Iterator[None]:
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


@contextmanager
def _explained(place: Place, replaced: list[str]) -> Iterator[None]:
    try:
        yield
    except (ChutesError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as exc:
        raise explain(place, exc, tuple(replaced)) from exc


def _path_with(folders: tuple[Path, ...]) -> list[str]:
    first = [str(folder) for folder in folders]
    return first + [entry for entry in sys.path if entry not in first]


def _import(place: Place) -> ModuleType:
    root = place.module.partition(".")[0]
    known = sys.modules.get(root)
    if known is not None and not _holds(known, place.file):
        _forget(root, known, place)
    if place.module in sys.modules:
        return sys.modules[place.module]
    parent, _, last = place.module.rpartition(".")
    package = importlib.import_module(parent) if parent else None
    module = _execute(place)
    if package is not None:
        setattr(package, last, module)
    return module


def _execute(place: Place) -> ModuleType:
    spec = importlib.util.spec_from_file_location(place.module, place.file)
    if spec is None or spec.loader is None:
        raise LoadError(f"Python cannot load '{readable(place.file)}'.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[place.module] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(place.module, None)
        raise
    return module


def _holds(module: ModuleType, file: Path) -> bool:
    """Whether `module` is `file`, or a package that `file` stands in."""
    folders = list(getattr(module, "__path__", ()))
    own = getattr(module, "__file__", None)
    return any(file.is_relative_to(Path(folder).resolve()) for folder in folders) or (
        own is not None and Path(own).resolve() == file
    )


def _forget(root: str, known: ModuleType, place: Place) -> None:
    """Make room for the user's module, unless its name is a library's: nobody could import that any more."""
    own = getattr(known, "__file__", None)
    if own is None or not is_user_file(own):
        raise LoadError(
            f"The file '{readable(place.file)}' has the name of the library {root!r}. "
            f"Rename it, for example to my_{root}.py."
        )
    for name in [name for name in sys.modules if name == root or name.startswith(f"{root}.")]:
        del sys.modules[name]


def _named(place: Place, module: ModuleType) -> tuple[str, Chute]:
    value: object = module
    for part in str(place.attribute).split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            known = list(_chutes(module))
            near = did_you_mean(str(place.attribute), known)
            near = near or (f" Its chutes: {', '.join(known)}." if known else " It has no chute at all.")
            raise LoadError(f"{readable(place.file)} has no {place.attribute!r}.{near}") from None
    chute = _unpacked(value)
    if chute is None:
        raise LoadError(f"{place.attribute!r} in {readable(place.file)} is {_described(value)}")
    return str(place.attribute), chute


def _only(place: Place, module: ModuleType) -> tuple[str, Chute]:
    found = _chutes(module)
    if len(found) == 1:
        return next(iter(found.items()))
    if not found:
        raise LoadError(
            f"{readable(place.file)} has no chute. Make one in it, for example "
            'chute = Chute(username="me", name="my-app", image="python:3.11").'
        )
    choices = ", ".join(f"{place.reference}:{name}" for name in found)
    raise LoadError(f"{readable(place.file)} has {len(found)} chutes. Name one of them: {choices}.")


def _chutes(module: ModuleType) -> dict[str, Chute]:
    """The chutes of `module`, each under its first name."""
    found: dict[str, Chute] = {}
    for name, value in vars(module).items():
        chute = _unpacked(value)
        if chute is not None and not any(chute is other for other in found.values()):
            found[name] = chute
    return found


def _unpacked(value: object) -> Chute | None:
    if isinstance(value, ChutePack):
        value = value.chute
    return value if isinstance(value, Chute) else None


def _described(value: object) -> str:
    """What `value` is instead of a chute, and what to do about it."""
    if inspect.isclass(value):
        return f"the class {value.__name__}, not a chute. Make a Chute(…) and name that."
    if inspect.isroutine(value):
        name = value.__name__
        made = inspect.get_annotations(value).get("return") if inspect.isfunction(value) else None
        returns = "a function that returns a chute" if made in {Chute, "Chute"} else "a function, not a chute"
        return f"{returns}. Call it in the file: chute = {name}()."
    if inspect.ismodule(value):
        return f"the module {value.__name__}, not a chute. Name a chute in it: {value.__name__}:chute."
    return f"of type {type(value).__name__}, not a chute. Make a Chute(…) and name that."
