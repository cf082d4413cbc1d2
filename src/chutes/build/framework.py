"""The wheel of the framework that runs here, for the image that it builds."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import chutes
from chutes.errors import BuildError

__all__ = ["Wheel", "framework_wheel"]

_DISTRIBUTION = "openchutes"
_WHEEL = "Wheel-Version: 1.0\nGenerator: chutes build\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_METADATA_FILES = ("METADATA", "entry_points.txt")
# The oldest moment that a ZIP file can hold: the same code gives the same bytes.
_MOMENT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package as pip installs it.

    Attributes:
        filename: what pip wants it to be called.
        content: its bytes.
    """

    filename: str
    content: bytes


def framework_wheel() -> Wheel:
    """Pack the framework as it is installed here, an editable installation included.

    The image then has the version that the chute was tried with, whatever the package index has by now. The format
    is that of https://packaging.python.org/en/latest/specifications/binary-distribution-format/.

    Raises:
        BuildError: it is not installed, only found on the path.
    """
    try:
        installed = distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        raise BuildError(
            f"The package {_DISTRIBUTION} is not installed here, so it cannot be put into an image. "
            f"Install it: pip install {_DISTRIBUTION}."
        ) from None
    folder = f"{_DISTRIBUTION}-{installed.version}.dist-info"
    entries = dict(_package_files())
    for name in _METADATA_FILES:
        entries[f"{folder}/{name}"] = (installed.read_text(name) or "").encode()
    entries[f"{folder}/WHEEL"] = _WHEEL.encode()
    record = "".join(f"{name},sha256={_hash(content)},{len(content)}\n" for name, content in entries.items())
    entries[f"{folder}/RECORD"] = f"{record}{folder}/RECORD,,\n".encode()
    return Wheel(f"{_DISTRIBUTION}-{installed.version}-py3-none-any.whl", _zip(entries))


def _package_files() -> Iterator[tuple[str, bytes]]:
    package = Path(chutes.__file__).parent
    for file in sorted(package.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield f"chutes/{file.relative_to(package).as_posix()}", file.read_bytes()


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()
