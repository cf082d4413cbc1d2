"""The check of a container image's reference: `[registry/]path[:tag][@digest]`."""

import re

from chutes.errors import DefinitionError

__all__ = ["check_reference"]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# A first part is a registry only when it cannot be a folder: it has a dot or a port, or is localhost.
_REGISTRY = (
    rf"(?:localhost(?::\d+)?|{_LABEL}(?:\.{_LABEL})+(?::\d+)?|{_LABEL}:\d+|\[[0-9a-fA-F:]+\](?::\d+)?)"
)
_PATH = re.compile(rf"(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_LONGEST_PATH = 255


def check_reference(reference: object) -> str:
    """Return the reference unchanged when a container tool can understand it.

    Raises:
        DefinitionError: it is no text, or has another form.

    Example:
        >>> check_reference("registry:5000/team/model:1.2")
        'registry:5000/team/model:1.2'
    """
    if not isinstance(reference, str):
        raise DefinitionError(f"Invalid image {reference!r}. Write a reference such as 'python:3.11'.")
    rest, at, digest = reference.partition("@")
    # A colon before the last slash belongs to the registry's port.
    folder, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    path = folder + slash + last
    if reason := _path_error(path):
        raise _invalid(reference, reason)
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(reference, f"The tag {tag!r} is not 1 to 128 letters, digits, '_', '.' and '-'.")
    if at and not _DIGEST.fullmatch(digest):
        raise _invalid(reference, f"The digest {digest!r} is not 'sha256:' and 64 hexadecimal digits.")
    return reference


def _path_error(path: str) -> str:
    """Say what is wrong with the part before tag and digest, "" when nothing is."""
    if len(path) > _LONGEST_PATH:
        return f"Its name has {len(path)} characters, {_LONGEST_PATH} is the most."
    if _PATH.fullmatch(path):
        return ""
    if not path:
        return "It has no name."
    if re.search(r"\s", path):
        return "It has white space in it."
    if "//" in path and ":" in path.partition("//")[0]:
        return f"Leave out {path.partition('//')[0] + '//'!r}."
    if _PATH.fullmatch(path.lower()):
        return f"Names are in lower case: {path.lower()!r}."
    return "A name has lower-case letters and digits, with single '.', '_', '-' or '/' between them."


def _invalid(reference: str, reason: str) -> DefinitionError:
    return DefinitionError(
        f"Invalid image {reference!r}. {reason}"
        " Write [registry/]name[:tag], for example 'python:3.11' or 'localhost:5000/team/model:1.2'."
    )
