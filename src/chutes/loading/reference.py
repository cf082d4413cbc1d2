"""A reference such as `app:chute` or `app.py`: which file it means, found without running any code."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, ModuleSpec, PathFinder
from pathlib import Path

from chutes.errors import LoadError
from chutes.suggestions import did_you_mean

__all__ = ["Place", "importable_names", "locate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reference points.

    Attributes:
        reference: as written on the command line.
        module: the name under which Python knows the module, such as `app` or `package.app`.
        attribute: the name of the chute inside it, None when the reference leaves it out.
        file: the module's file.
        search_path: folders that go to the front of `sys.path`, so that the files beside it can be imported.
    """

    reference: str
    module: str
    attribute: str | None
    file: Path
    search_path: tuple[Path, ...]

    @property
    def root(self) -> Path:
        """The folder in which the module's name starts: the file's own, or the one that its package stands in."""
        package = self.module if self.file.name == "__init__.py" else self.module.rpartition(".")[0]
        return self.file.parent.joinpath(*[".."] * (package.count(".") + bool(package))).resolve()


def locate(reference: str) -> Place:
    """Find the file that `reference` means.

    It takes `module:attribute`, `package.module:attribute`, `path/to/app.py:attribute`, and each of them
    without the attribute.

    Raises:
        LoadError: the reference is malformed, or there is no such file or module.
    """
    target, colon, attribute = reference.partition(":")
    if not target or (colon and not all(part.isidentifier() for part in attribute.split("."))):
        raise LoadError(
            f"Invalid reference {reference!r}. Write the file or the module and the name of its chute, "
            "for example app.py:chute or package.app:chute."
        )
    if target.endswith(".py") or "/" in target:
        return _locate_file(reference, Path(target), attribute or None)
    return _locate_module(reference, target, attribute or None)


def importable_names(folder: Path) -> list[str]:
    """The names under which the files and packages of `folder` can be imported."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return []
    files = [entry.stem for entry in entries if entry.suffix == ".py" and entry.stem != "__init__"]
    return files + [entry.name for entry in entries if (entry / "__init__.py").is_file()]


def _locate_file(reference: str, path: Path, attribute: str | None) -> Place:
    file = path.resolve()
    if file.is_dir():
        raise _folder_error(path)
    if not file.is_file():
        raise LoadError(f"There is no file '{path}'.{_near_file(file)}")
    if file.suffix != ".py":
        raise LoadError(f"'{path}' is no Python file. Its name has to end with .py.")
    module, root = _natural_name(file)
    return Place(
        reference=reference,
        module=module,
        attribute=attribute,
        file=file,
        search_path=tuple(dict.fromkeys((file.parent, root, Path.cwd()))),
    )


def _folder_error(path: Path) -> LoadError:
    return LoadError(f"'{path}' is a folder. Name the file in it, for example {path / 'app.py'}.")


def _natural_name(file: Path) -> tuple[str, Path]:
    """The module's dotted name, and the folder in which that name starts."""
    parts = [] if file.name == "__init__.py" else [file.stem.replace(".", "_")]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def _near_file(file: Path) -> str:
    names = [f"{name}.py" for name in importable_names(file.parent)]
    return (
        did_you_mean(file.name, names) if file.parent.is_dir() else f" Nor is there a folder '{file.parent}'."
    )


def _locate_module(reference: str, module: str, attribute: str | None) -> Place:
    if Path(module).is_dir() and not Path(module, "__init__.py").is_file():
        raise _folder_error(Path(module))
    if not all(part.isidentifier() for part in module.split(".")):
        raise LoadError(
            f"Invalid reference {reference!r}: {module!r} is no name of a module. "
            "Write for example app:chute, or the path of a file that ends with .py."
        )
    spec = _find_spec(module, [str(Path.cwd()), *sys.path])
    if spec is None:
        raise LoadError(f"There is no module {module!r} in '{Path.cwd()}'.{_near_module(module, attribute)}")
    if spec.origin is None or not spec.has_location:
        raise LoadError(
            f"The module {module!r} has no file of its own, so it holds no chute.{_inside(module, spec)}"
        )
    return Place(
        reference=reference,
        module=module,
        attribute=attribute,
        file=Path(spec.origin),
        search_path=(Path.cwd(),),
    )


def _find_spec(module: str, folders: Iterable[str]) -> ModuleSpec | None:
    """What Python would import as `module`; unlike `importlib.util.find_spec`, its packages are not run."""
    top, *parts = module.split(".")
    search = list(folders)
    # The first Pythons 3.11 find a built-in module only where no folders are given.
    built_in = BuiltinImporter.find_spec(top)
    spec = built_in or next(filter(None, (finder.find_spec(top, search) for finder in sys.meta_path)), None)
    for part in parts:
        if spec is None:
            return None
        # Under its full name a part could only be found once the packages around it are imported.
        spec = PathFinder.find_spec(part, list(spec.submodule_search_locations or ()))
    return spec


def _near_module(module: str, attribute: str | None) -> str:
    parent, _, last = module.rpartition(".")
    if parent and attribute is None and _find_spec(parent, [str(Path.cwd()), *sys.path]) is not None:
        return f" Write a colon before the name of the chute: {parent}:{last}."
    return did_you_mean(module, importable_names(Path.cwd()))


def _inside(module: str, spec: ModuleSpec) -> str:
    names = [
        name for folder in spec.submodule_search_locations or () for name in importable_names(Path(folder))
    ]
    return f" Name a module in it, for example {module}.{min(names)}." if names else ""
