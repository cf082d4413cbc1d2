"""A chute's files as packages that a Ray cluster keeps, named by their content."""

import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chutes.build.containerfile import APP, FOLDER, REQUIREMENTS
from chutes.build.context import Context
from chutes.deploy.ray.config import Code
from chutes.errors import DeployError

__all__ = ["SECRETS", "Package", "code_of", "packages_of", "secrets_package"]

SECRETS = "secrets.json"
"""The one file of a package of secrets."""

_LARGEST = 500 * 1024**2
_DIGITS = 20
# The oldest moment that a ZIP file can hold: the same files give the same bytes.
_MOMENT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """A ZIP file in the cluster's store.

    Attributes:
        name: what it is called there.
        content: its bytes.
    """

    name: str
    content: bytes = field(repr=False)

    @property
    def uri(self) -> str:
        """How a runtime environment of Ray names it."""
        return f"gcs://{self.name}"


def code_of(context: Context) -> Code:
    """Where a cluster has a chute's files once `packages_of` were sent. Nothing is sent.

    Raises:
        DeployError: the files are too many, or cannot be read, or the requirements are none that a node can install.
    """
    files, framework = packages_of(context)
    return Code(files=files.uri, framework=framework.uri, requirements=_requirements(context))


def packages_of(context: Context) -> tuple[Package, Package]:
    """The chute's files, and the framework.

    Raises:
        DeployError: the files are too many, or cannot be read.
    """
    return _files_package(context), _framework_package(context)


def _files_package(context: Context) -> Package:
    prefix = f"{APP}/"
    files = {
        name.removeprefix(prefix): source for name, source in context.files.items() if name.startswith(prefix)
    }
    return _named("files", _zip(files))


def _framework_package(context: Context) -> Package:
    # A wheel is a ZIP file already.
    for name, source in context.files.items():
        if name.startswith(f"{FOLDER}/") and name.endswith(".whl") and isinstance(source, bytes):
            return _named("framework", source)
    raise DeployError("The chute's files lack the framework's own package.")


def secrets_package(values: Mapping[str, str]) -> Package:
    """The values of secrets, under a name that tells nothing of them."""
    content = _zip({SECRETS: json.dumps(dict(values)).encode()})
    return Package(f"chutes_secrets_{secrets.token_hex(_DIGITS // 2)}.zip", content)


def _requirements(context: Context) -> tuple[str, ...]:
    source = context.files.get(REQUIREMENTS)
    if source is None:
        return ()
    text = (source if isinstance(source, bytes) else source.read_bytes()).decode()
    lines = [line.split(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    kept = tuple(line for line in lines if line and not line.startswith("#"))
    for line in kept:
        if line.startswith(("-r", "--requirement", "-c", "--constraint", "-e", "--editable", ".", "/")):
            raise DeployError(
                f"The nodes of a Ray cluster cannot follow the line {line!r} of requirements.txt: they do not have that "
                "file. Write the packages themselves, or deploy an image."
            )
    return kept


def _named(kind: str, content: bytes) -> Package:
    if len(content) >= _LARGEST:
        raise DeployError(
            f"The {kind} of the chute have {len(content) // 1024**2} MiB packed, and a Ray cluster takes "
            f"{_LARGEST // 1024**2}. Keep what is large out with a .dockerignore, or deploy an image."
        )
    return Package(f"chutes_{kind}_{hashlib.sha256(content).hexdigest()[:_DIGITS]}.zip", content)


def _zip(files: Mapping[str, Path | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _MOMENT)
            runs = isinstance(source, Path) and os.access(source, os.X_OK)
            entry.external_attr = (0o755 if runs else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _content(source))
    return buffer.getvalue()


def _content(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as exc:
        raise DeployError(f"Cannot read '{source}': {exc.strerror}.") from exc
