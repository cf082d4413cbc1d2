"""Steps that put files into an image. Whether the files exist is asked when the image is built."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace

from chutes.errors import DefinitionError
from chutes.image.container import owner
from chutes.image.step import Step, as_path, as_words

__all__ = ["StrPath", "add", "copy"]

StrPath = str | os.PathLike[str]

_PLAIN_PATH = re.compile(r"[\w./*?$:@%+=,~{}-]+", re.ASCII)
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


def copy(
    source: StrPath,
    dest: StrPath,
    *,
    chown: str | None = None,
    chmod: str | None = None,
    exclude: Iterable[str] | None = None,
    build_dir: StrPath | None = None,
) -> Step:
    """Files of the build context, as they are."""
    path = _local(as_path("source", source), None if build_dir is None else os.fspath(build_dir))
    return Step(
        text=" ".join(["COPY", *_ownership(chown, chmod), _paths(path, dest)]),
        sources=(path,),
        exclude=() if exclude is None else tuple(as_words("exclude", [exclude])),
        folder=None if build_dir is None else os.fspath(build_dir),
    )


def add(
    source: StrPath,
    dest: StrPath,
    *,
    keep_git_dir: bool,
    checksum: str | None,
    chown: str | None,
    chmod: str | None,
    exclude: Iterable[str] | None,
    build_dir: StrPath | None,
) -> Step:
    """Files of the build context, an archive that is unpacked, or what a URL leads to."""
    path = as_path("source", source)
    if not _is_remote(path):
        if keep_git_dir or checksum is not None:
            raise DefinitionError(
                f"keep_git_dir and checksum are for URLs, and {path!r} is a file. Leave them out."
            )
        step = copy(path, dest, chown=chown, chmod=chmod, exclude=exclude, build_dir=build_dir)
        return replace(step, text=f"ADD{step.text.removeprefix('COPY')}")
    flags = ["--keep-git-dir=true"] if keep_git_dir else []
    if checksum is not None:
        if not _CHECKSUM.fullmatch(str(checksum)):
            raise DefinitionError(
                f"Invalid checksum {checksum!r}. Write 'sha256:' and 64 hexadecimal digits."
            )
        flags.append(f"--checksum={checksum}")
    return Step(text=" ".join(["ADD", *flags, *_ownership(chown, chmod), _paths(path, dest)]))


def _is_remote(source: str) -> bool:
    return "://" in source or source.startswith("git@")


def _local(source: str, folder: str | None) -> str:
    """Return the source as a path inside of the build context."""
    if _is_remote(source):
        raise DefinitionError(f"copy() takes files, and {source!r} is a URL. Use add().")
    if source.startswith("/"):
        if folder is None or not source.startswith(f"{folder.rstrip('/')}/"):
            raise DefinitionError(
                f"The source {source!r} is absolute. Write it from the folder of the chute's file,"
                " or name the folder that holds it: build_dir=…."
            )
        source = os.path.relpath(source, folder)
    if ".." in source.split("/") or source.startswith("-"):
        raise DefinitionError(
            f"The source {source!r} is outside of the folder that the image is built from."
            " Move it there, or name another folder: build_dir=…."
        )
    return source


def _ownership(chown: object, chmod: object) -> list[str]:
    if chmod is not None and not (isinstance(chmod, str) and re.fullmatch(r"[0-7]{3,4}", chmod)):
        raise DefinitionError(f"Invalid chmod={chmod!r}. Write octal digits as text, for example '755'.")
    flags = [] if chown is None else [f"--chown={owner('chown', chown)}"]
    return flags if chmod is None else [*flags, f"--chmod={chmod}"]


def _paths(source: str, dest: StrPath) -> str:
    paths = [source, as_path("dest", dest)]
    if all(_PLAIN_PATH.fullmatch(path) for path in paths):
        return " ".join(paths)
    # Builders take quotes and backslashes out of the words of this list too.
    escaped = [re.sub(r"""(["'\\])""", r"\\\1", path) for path in paths]
    return json.dumps(escaped, ensure_ascii=False)
