"""The Python files of some folders: which of them were saved, and which of those cannot be compiled."""

import warnings
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from watchfiles import DefaultFilter, PythonFilter, awatch

from chutes.errors import ServeError

__all__ = ["name_of", "saved_files", "syntax_problem"]

_SETTLE_MS = 50
_LONGEST_BATCH_MS = 400


class _SourceFilter(PythonFilter):
    ignore_dirs = (*DefaultFilter.ignore_dirs, "site-packages", ".ruff_cache", ".nox", ".ipynb_checkpoints")


async def saved_files(folders: Iterable[Path]) -> AsyncIterator[frozenset[Path]]:
    """Yield the Python files that were saved, made or deleted together, for ever.

    Raises:
        ServeError: the system refuses to watch.
    """
    paths = tuple(folders)
    batches = awatch(*paths, watch_filter=_SourceFilter(), step=_SETTLE_MS, debounce=_LONGEST_BATCH_MS)
    try:
        async for batch in batches:
            yield frozenset(Path(path) for _, path in batch)
    except (OSError, RuntimeError) as exc:
        names = ", ".join(map(str, paths))
        raise ServeError(
            f"Cannot watch {names}: {exc}. Serve without reload, or set WATCHFILES_FORCE_POLLING=true."
        ) from exc


def syntax_problem(path: Path) -> str | None:
    """What keeps the file from being compiled, with its line; None when nothing does or it is gone."""
    if path.suffix != ".py" or not path.is_file():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except SyntaxError as exc:
        text = f": {exc.text.strip()}" if exc.text else ""
        return f"line {exc.lineno}: {exc.msg}{text}"
    except ValueError as exc:
        return str(exc)
    return None


def name_of(path: Path, folders: Iterable[Path]) -> str:
    """The path as seen from the watched folder that holds it."""
    for folder in folders:
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return str(path)
