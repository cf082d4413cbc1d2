"""A model in a folder or a file of this machine."""

from collections.abc import Sequence
from pathlib import Path

from chutes.errors import ModelError
from chutes.models.facts import described
from chutes.models.files import Choice, Listed, NoChoice, choose_files
from chutes.models.model import Form, Model, SourceKind

__all__ = ["chosen_paths", "listed_files", "local_model"]


def local_model(
    name: str, path: Path, forms: Sequence[Form], *, source: SourceKind = "file", revision: str = ""
) -> Model:
    """Return the model at `path`.

    Raises:
        ModelError: it holds no model in one of these forms.
    """
    folder, wanted = (path, "") if path.is_dir() else (path.parent, path.name)
    if wanted and path.suffix != ".gguf":
        raise ModelError(f"{path} is no model. Write its folder, or a .gguf file.")
    try:
        # A file's neighbours may be somebody's whole home: only parts of the same model count.
        files = listed_files(folder, deep=not wanted)
        choice = choose_files(files, forms, wanted)
    except NoChoice as exc:
        raise ModelError(f"The model {name!r} cannot be used: {exc}.") from None
    main, weights = chosen_paths(folder, choice)
    if source == "file" and choice.form == "folder":
        source = "folder"
    return described(
        name=name, path=main, form=choice.form, source=source, weights=weights, revision=revision
    )


def listed_files(folder: Path, *, deep: bool = True) -> list[Listed]:
    """The files of a folder, and with `deep` those of the folders in it; what is hidden is left out."""
    patterns = ("*", "*/*") if deep else ("*",)
    found = (path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    relative = ((path, path.relative_to(folder)) for path in found)
    return [
        Listed(inner.as_posix(), path.stat().st_size)
        for path, inner in relative
        if not any(part.startswith(".") for part in inner.parts)
    ]


def chosen_paths(folder: Path, choice: Choice) -> tuple[Path, list[Path]]:
    """Where an engine finds the model, and its weights."""
    weights = [folder / file.path for file in choice.weights]
    return (folder if choice.form == "folder" else weights[0]), weights
