"""Which files of its own folder a chute needs: the modules it imports, and the files that its code names."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chutes.build.ignore import Ignored
from chutes.errors import BuildError
from chutes.loading import LoadedChute

__all__ = ["REQUIREMENTS", "Sources", "find_sources"]

REQUIREMENTS = "requirements.txt"
_LONGEST_NAME = 200
_CACHES = frozenset({"__pycache__", "node_modules"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of a chute.

    Attributes:
        root: the folder in which the module's name starts.
        target: the chute as `chutes run` takes it from that folder, such as `app.py:chute`.
        files: paths from the root, with `/` between their parts, sorted.
        ignored: what the ignore file of the root keeps out.
        requirements: the path of the `requirements.txt` beside the chute's file, None without one.
    """

    root: Path
    target: str
    files: tuple[str, ...]
    ignored: Ignored
    requirements: str | None = None


def find_sources(loaded: LoadedChute) -> Sources:
    """Find the files of a loaded chute, those that its functions import later included.

    A file or folder counts as well where a text in the code is its name from the chute's folder, as in
    `Path(__file__).with_name("page.html")` or `StaticFiles(directory="static")`. What begins with a dot stays out.

    Raises:
        BuildError: the chute's own file is ignored, or a file cannot be read.
    """
    root = loaded.place.root
    file = loaded.place.file.resolve()
    ignored = Ignored.of(root)
    search = _Search(root=root, folders=(file.parent, root))
    search.add(file)
    for module in list(sys.modules.values()):
        origin = getattr(module, "__file__", None)
        if isinstance(origin, str):
            search.add(Path(origin).resolve())
    found = sorted(search.found)
    own = file.relative_to(root).as_posix()
    if ignored.matches(own):
        raise BuildError(f"The ignore file in '{root}' keeps {own} out, which is the chute's own file.")
    requirements = file.with_name(REQUIREMENTS)
    return Sources(
        root=root,
        target=f"{own}:{loaded.name}",
        files=tuple(name for name in found if not ignored.matches(name)),
        ignored=ignored,
        requirements=requirements.relative_to(root).as_posix() if requirements.is_file() else None,
    )


@dataclass(slots=True, kw_only=True)
class _Search:
    root: Path
    folders: tuple[Path, ...]
    found: set[str] = field(default_factory=set)

    def add(self, file: Path) -> None:
        """Take a file, and all that its code needs."""
        waiting = [file]
        while waiting:
            path = waiting.pop()
            if not self._is_ours(path):
                continue
            name = path.relative_to(self.root).as_posix()
            if name in self.found:
                continue
            self.found.add(name)
            waiting += self._packages_around(path)
            if path.suffix == ".py":
                waiting += self._needed_by(path)

    def _is_ours(self, path: Path) -> bool:
        if not path.is_relative_to(self.root) or not path.is_file():
            return False
        parts = path.relative_to(self.root).parts
        # A virtual environment inside of the folder is no part of the chute.
        return not any(part.startswith(".") or part in _CACHES or part == "site-packages" for part in parts)

    def _packages_around(self, path: Path) -> Iterator[Path]:
        for folder in path.parents:
            if folder == self.root or not folder.is_relative_to(self.root):
                return
            yield folder / "__init__.py"

    def _needed_by(self, path: Path) -> Iterator[Path]:
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except OSError as exc:
            raise BuildError(f"Cannot read '{path}': {exc.strerror}.") from exc
        except (SyntaxError, ValueError):
            # Not imported so far, or Python would have said so: it may be meant for another version.
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._modules(alias.name, self.folders)
            elif isinstance(node, ast.ImportFrom):
                yield from self._imported_from(node, path)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from self._named(node.value, path)

    def _imported_from(self, node: ast.ImportFrom, path: Path) -> Iterator[Path]:
        folders = self.folders
        if node.level:
            base = path.parent
            for _ in range(node.level - 1):
                base = base.parent
            folders = (base,)
        prefix = f"{node.module}." if node.module else ""
        if node.module:
            yield from self._modules(node.module, folders)
        for alias in node.names:
            yield from self._modules(f"{prefix}{alias.name}", folders)

    @staticmethod
    def _modules(name: str, folders: tuple[Path, ...]) -> Iterator[Path]:
        """The files that an import of `name` runs, as far as they are ours."""
        for start in folders:
            folder = start
            for part in name.split("."):
                yield folder / f"{part}.py"
                yield folder / part / "__init__.py"
                folder /= part

    def _named(self, text: str, path: Path) -> Iterator[Path]:
        name = text.removeprefix("./").rstrip("/")
        if not name or len(name) > _LONGEST_NAME or name.startswith((".", "/")) or not name.isprintable():
            return
        for folder in dict.fromkeys((path.parent, *self.folders)):
            target = folder / name
            if target.is_file():
                yield target.resolve()
            elif target.is_dir():
                yield from (inside for inside in target.rglob("*") if inside.is_file())
