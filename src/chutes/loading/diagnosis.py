"""From the exception that stopped a load to one line that says whose mistake it is, and what to write."""

import builtins
import importlib
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from chutes.errors import LoadError
from chutes.loading.hints import import_line, install_hint
from chutes.loading.reference import Place, importable_names
from chutes.suggestions import did_you_mean
from chutes.tracebacks import is_user_file, place_of, readable, user_frames

__all__ = ["explain"]


def explain(place: Place, exc: BaseException, replaced: Sequence[str] = ()) -> LoadError:
    """The error to raise `from exc`, when importing the module of `place` raised it.

    Args:
        place: what was being loaded.
        exc: what came out of the import.
        replaced: libraries that stand-ins took the place of.
    """
    return LoadError(_sentence(place, exc) + _about(replaced))


def _sentence(place: Place, exc: BaseException) -> str:
    if isinstance(exc, SyntaxError) and exc.filename is not None:
        return _syntax(exc)
    frames = user_frames(exc)
    if not frames:
        return f"{readable(place.file)} cannot be loaded: {_summary(exc)}"
    where = place_of(frames[-1].filename, frames[-1].lineno)
    written = f"`{frames[-1].line}`"
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return f"{where}: {written} failed: {_missing_module(exc, exc.name, frames[-1])}"
    if isinstance(exc, ImportError):
        return f"{where}: {written} failed: {_missing_part(exc)}"
    if isinstance(exc, NameError) and exc.name:
        return f"{where}: the name {exc.name!r} is not known.{_missing_name(exc, exc.name)}"
    if isinstance(exc, SystemExit):
        guard = 'if __name__ == "__main__":'
        return f"{where}: {written} ends the program while the file is loaded. Put it under {guard}"
    return f"{where}: {written} raised {_summary(exc)}{_near_attribute(exc)}"


def _syntax(exc: SyntaxError) -> str:
    written = f": `{exc.text.strip()}`" if exc.text and exc.text.strip() else ""
    return f"{place_of(exc.filename or '', exc.lineno)}: {exc.msg}{written}"


def _summary(exc: BaseException) -> str:
    return " ".join("".join(traceback.format_exception_only(exc)).split())


def _missing_module(exc: BaseException, name: str, importer: traceback.FrameSummary) -> str:
    """Whose module is missing: one of the user's own, a library, or something that a library needs."""
    library = _importing_library(exc)
    if library is not None:
        return f"'{library}' needs {name!r}, which is not installed. Install it: {install_hint(name)}."
    parent = name.rpartition(".")[0]
    if parent in sys.modules:
        return f"{parent!r} has no {name.rpartition('.')[2]!r}."
    folders = (Path(importer.filename).parent, Path.cwd())
    near = did_you_mean(name, {entry for folder in folders for entry in importable_names(folder)})
    return f"there is no module {name!r} on this machine.{near or f' Install it: {install_hint(name)}.'}"


def _importing_library(exc: BaseException) -> str | None:
    """The folder of the library whose own import failed, None when it was an import of the user's."""
    frames = traceback.extract_tb(exc.__traceback__)
    sources = [frame.filename for frame in frames if not _is_machinery(frame.filename)]
    return None if is_user_file(sources[-1]) else Path(sources[-1]).parent.name


def _is_machinery(filename: str) -> bool:
    """Whether `filename` is part of how imports work, so that it stands between importer and imported."""
    folders = (Path(importlib.__file__).parent, Path(__file__).parent)
    return filename.startswith("<frozen") or Path(filename).parent in folders


def _missing_part(exc: ImportError) -> str:
    """What an import failed for, when the module itself is there."""
    if "relative import" in str(exc):
        return f"{exc}. Only files of a package import so: put an __init__.py beside the file, or leave out the dot."
    module = sys.modules.get(exc.name or "")
    # Python 3.11 says the name in the text alone.
    wanted = re.match(r"cannot import name '(\w+)'", str(exc))
    if module is None or wanted is None:
        return f"{exc}."
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return f"{exc}.{did_you_mean(wanted.group(1), names)}"


def _missing_name(exc: NameError, name: str) -> str:
    line = import_line(name)
    if line is not None:
        return f" Add this line to the file: {line}"
    namespace = _innermost_globals(exc)
    return did_you_mean(name, [*namespace, *vars(builtins)])


def _near_attribute(exc: BaseException) -> str:
    """What an attribute may have been meant to be, where neither the text nor Python itself says so."""
    if (
        not isinstance(exc, AttributeError)
        or not exc.name
        or exc.obj is None
        or "Did you mean" in _summary(exc)
    ):
        return ""
    names = [*dir(exc.obj), *getattr(exc.obj, "__all__", ())]
    near = did_you_mean(exc.name, [name for name in names if not name.startswith("_")])
    return near and f".{near}"


def _innermost_globals(exc: BaseException) -> dict[str, object]:
    step = exc.__traceback__
    namespace: dict[str, object] = {}
    while step is not None:
        if is_user_file(step.tb_frame.f_code.co_filename):
            namespace = step.tb_frame.f_globals
        step = step.tb_next
    return namespace


def _about(replaced: Sequence[str]) -> str:
    if not replaced:
        return ""
    return f" (Not installed here, and replaced by stand-ins: {', '.join(replaced)}.)"
