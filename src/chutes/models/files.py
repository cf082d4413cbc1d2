"""Which files of a model an engine needs: one form of the weights, and what belongs to them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath

from chutes.models.model import Form

__all__ = ["Choice", "Listed", "NoChoice", "choose_files"]

_PREFERRED_QUANTISATION = "Q4_K_M"
# Copies of the weights for other runtimes, and states of a training.
_ELSEWHERE = (
    "checkpoint-*/*", "coreml/*", "flax/*", "onnx/*", "openvino/*", "original/*", "runs/*", "tf/*",
)  # fmt: skip
_BESIDE = ("*.json", "*.jinja", "*.model", "*.py", "*.tiktoken", "*.txt")
# In the order in which engines prefer them. Pickled weights run code when they are read: only without the others.
_WEIGHTS = (("*.safetensors",), ("pytorch_model*.bin", "*/pytorch_model*.bin"), ("*.bin",))
_NO_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin", "random_states*")
_PART = re.compile(r"-(?P<part>\d{5})-of-\d{5}(?=\.gguf$)")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a model: its path below the model's folder, with `/`, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The files that make a model in one form.

    Attributes:
        form: what they are.
        files: all that belong to it, weights included.
        weights: the weights alone; of a GGUF model in parts the first part comes first.
    """

    form: Form
    files: tuple[Listed, ...]
    weights: tuple[Listed, ...]


class NoChoice(LookupError):  # noqa: N818 - says what there is none of
    """The files hold no model in a form that was asked for; the text says what they do hold."""


def choose_files(files: Iterable[Listed], forms: Sequence[Form], wanted: str = "") -> Choice:
    """Choose the first of `forms` that the files have.

    Args:
        files: what there is.
        forms: the forms that are of use, the best first.
        wanted: one GGUF file, or its quantisation such as `Q4_K_M`; empty: the only one, else Q4_K_M.

    Raises:
        NoChoice: none of the forms is there, or one of several GGUF files has to be named.
    """
    listed = sorted(files, key=lambda file: file.path)
    whole = None if wanted else _whole_folder(listed)
    single = _gguf_models(listed)
    for form in forms:
        if form == "folder" and whole is not None:
            return whole
        if form == "gguf" and single:
            parts = _one_of(single, wanted)
            return Choice(form="gguf", files=parts, weights=parts)
    raise NoChoice(_what_there_is(listed, forms, wanted, has_folder=whole is not None))


def _whole_folder(listed: Sequence[Listed]) -> Choice | None:
    here = [file for file in listed if not _matches(file, _ELSEWHERE)]
    weights = next((found for patterns in _WEIGHTS if (found := _weights(here, patterns))), ())
    if not weights or not any(file.path == "config.json" for file in here):
        return None
    beside = [file for file in here if _matches(file, _BESIDE)]
    return Choice(form="folder", files=(*beside, *weights), weights=tuple(weights))


def _weights(listed: Sequence[Listed], patterns: Sequence[str]) -> list[Listed]:
    found = [file for file in listed if _matches(file, patterns) and not _matches(file, _NO_WEIGHTS)]
    # Some publishers add the same weights once more, in one file under a name of their own.
    others = [file for file in found if not PurePosixPath(file.path).name.startswith("consolidated")]
    return others or found


def _gguf_models(listed: Sequence[Listed]) -> dict[str, tuple[Listed, ...]]:
    """Every GGUF model by its name without the number of a part; what a model sees through is none of its own."""
    models: dict[str, list[Listed]] = {}
    for file in listed:
        if file.path.endswith(".gguf") and not PurePosixPath(file.path).name.startswith("mmproj"):
            models.setdefault(_PART.sub("", file.path), []).append(file)
    return {name: tuple(parts) for name, parts in models.items()}


def _one_of(models: dict[str, tuple[Listed, ...]], wanted: str) -> tuple[Listed, ...]:
    if wanted and (exact := _named(models, wanted)):
        return exact
    if not wanted and len(models) == 1:
        return next(iter(models.values()))
    of_kind = [name for name in models if _is_quantised_as(name, wanted or _PREFERRED_QUANTISATION)]
    if len(of_kind) == 1:
        return models[of_kind[0]]
    names = ", ".join(of_kind or models)
    if wanted:
        raise NoChoice(f"it has no single GGUF file {wanted!r}. It has {names}")
    raise NoChoice(f"it has several GGUF files: write one of them behind a colon. It has {names}")


def _named(models: dict[str, tuple[Listed, ...]], wanted: str) -> tuple[Listed, ...] | None:
    for name, parts in models.items():
        paths = {name, *(part.path for part in parts)}
        if wanted in paths or wanted in {PurePosixPath(path).name for path in paths}:
            return parts
    return None


def _is_quantised_as(name: str, kind: str) -> bool:
    return re.search(rf"(?:^|[-._/]){re.escape(kind)}(?:[-._/]|$)", name, re.IGNORECASE) is not None


def _matches(file: Listed, patterns: Iterable[str]) -> bool:
    return any(fnmatch(file.path, pattern) for pattern in patterns)


def _what_there_is(listed: Sequence[Listed], forms: Sequence[Form], wanted: str, *, has_folder: bool) -> str:
    has_gguf = any(file.path.endswith(".gguf") for file in listed)
    if wanted and not has_gguf:
        return f"it has no GGUF files, so there is no {wanted!r} to choose"
    if has_gguf:
        return "it has GGUF files only, and the engine needs config.json with .safetensors weights"
    if has_folder:
        return "it has no .gguf file, and the engine needs one"
    needed = "config.json with .safetensors weights" if "folder" in forms else ".gguf file"
    names = ", ".join(file.path for file in listed[:8]) + (", ..." if len(listed) > 8 else "")  # noqa: PLR2004 - one line's worth
    return f"it has no {needed}. It has {names or 'no files'}"
