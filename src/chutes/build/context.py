"""The build context: which files a Dockerfile gets, what names them all, and the folder that holds them."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chutes.build.containerfile import APP, FOLDER, REQUIREMENTS, Recipe, containerfile
from chutes.build.framework import Wheel, framework_wheel
from chutes.build.ignore import Ignored
from chutes.build.sources import Sources, find_sources
from chutes.chute import Chute
from chutes.errors import BuildError
from chutes.image import Image
from chutes.image.step import Step
from chutes.loading import LoadedChute

__all__ = ["DOCKERFILE", "Context", "make_context"]

DOCKERFILE = "Dockerfile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a container tool builds from.

    Attributes:
        dockerfile: the text of the Dockerfile.
        files: where each file lies in the context, and its content or the file that has it.
        reference: what the image is called, `username/name:tag`.
        digest: names the Dockerfile and all files: 64 hexadecimal digits.
    """

    dockerfile: str
    files: Mapping[str, Path | bytes]
    reference: str
    digest: str

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(
            len(source) if isinstance(source, bytes) else source.stat().st_size
            for source in self.files.values()
        )

    def write(self, folder: Path) -> None:
        """Lay everything into a folder; files of the same disk are linked rather than copied.

        Raises:
            BuildError: the folder has files already, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise BuildError(f"The folder '{folder}' has files already. Name one that is new or empty.")
            (folder / DOCKERFILE).write_text(self.dockerfile, encoding="utf-8")
            for name, source in self.files.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _place(source, target)
        except OSError as exc:
            raise BuildError(f"Cannot write the build context to '{folder}': {exc}.") from exc


def make_context(loaded: LoadedChute) -> Context:
    """Gather what the image of a loaded chute is built from. Nothing is written.

    Raises:
        BuildError: a file that the recipe names is not there or ignored, or one cannot be read.
    """
    sources = find_sources(loaded)
    wheel = framework_wheel()
    recipe = Recipe.of(
        loaded.chute, sources.target, wheel.filename, requirements=sources.requirements is not None
    )
    text = containerfile(recipe)
    files: dict[str, Path | bytes] = {
        **dict(_own(sources, wheel)),
        **dict(_of_recipe(recipe.image, loaded.place.file.parent)),
    }
    ordered = dict(sorted(files.items()))
    return Context(
        dockerfile=text, files=ordered, reference=_reference(loaded.chute), digest=_digest(text, ordered)
    )


def _reference(chute: Chute) -> str:
    config = chute.config
    tag = config.image.tag if isinstance(config.image, Image) else config.revision or "latest"
    return f"{config.username}/{config.name}:{tag}"


def _own(sources: Sources, wheel: Wheel) -> Iterator[tuple[str, Path | bytes]]:
    yield f"{FOLDER}/{wheel.filename}", wheel.content
    if sources.requirements is not None:
        yield REQUIREMENTS, sources.root / sources.requirements
    for name in sources.files:
        yield f"{APP}/{name}", sources.root / name


def _of_recipe(image: Image | str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files that steps of the recipe take, under the names by which its lines call them."""
    if isinstance(image, str):
        return
    taken: dict[str, Path] = {}
    for step in image.steps:
        root = folder if step.folder is None else folder / Path(step.folder).expanduser()
        for source in step.sources:
            for name, file in _matching(source, step, root):
                if taken.setdefault(name, file) != file:
                    raise BuildError(
                        f"Two steps of the image take {name!r}, from '{root}' and from another folder. "
                        "Give the files different names."
                    )
    yield from taken.items()


def _matching(source: str, step: Step, root: Path) -> Iterator[tuple[str, Path]]:
    ignored, excluded = Ignored.of(root), Ignored.parse(step.exclude)
    found = [root / source] if (root / source).exists() else sorted(root.glob(source.rstrip("/")))
    if not found:
        raise BuildError(f"The image takes {source!r}, and there is no such file in '{root}'.")
    count = 0
    for match in found:
        for file in _files(match):
            path = file.relative_to(root).as_posix()
            if not ignored.matches(path) and not excluded.matches(path):
                count += 1
                yield path, file
    if not count:
        raise BuildError(
            f"The image takes {source!r} from '{root}', and every file of it is empty, ignored or excluded."
        )


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())


def _digest(dockerfile: str, files: Mapping[str, Path | bytes]) -> str:
    """Over every name, mode and content, so that a build from the same files has nothing to do."""
    whole = hashlib.sha256(dockerfile.encode())
    for name, source in files.items():
        runnable = isinstance(source, Path) and os.access(source, os.X_OK)
        whole.update(f"\0{name}\0{runnable}\0{_hash(source)}".encode())
    return whole.hexdigest()


def _hash(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        with source.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise BuildError(f"Cannot read '{source}': {exc.strerror}.") from exc


def _place(source: Path | bytes, target: Path) -> None:
    if isinstance(source, bytes):
        target.write_bytes(source)
        return
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        # Another disk, or one that knows no links.
        shutil.copy2(source, target)
