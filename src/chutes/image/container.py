"""Steps that describe the container: its environment, labels, user, folder and ports."""

import re
import shlex

from chutes.errors import DefinitionError
from chutes.image.step import Step, as_path, one_line

__all__ = ["env", "expose", "label", "owner", "user", "workdir"]

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_LAST_PORT = 65535


def env(key: object, value: object) -> Step:
    """An environment variable with exactly this value; only `$KEY` of itself stands for what it was before."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise DefinitionError(
            f"Invalid environment variable {key!r}. Write letters, digits and '_', as in 'HF_HOME'."
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DefinitionError(
            f"Invalid value {value!r} of {key}. Write it as text: with_env({key!r}, '{value}')."
        )
    parts = re.split(rf"\$\{{{key}\}}|\${key}(?!\w)", one_line(f"value of {key}", str(value)), flags=re.ASCII)
    quoted = f"${{{key}}}".join(shlex.quote(part) if part else "" for part in parts)
    return Step(text=f"ENV {key}={quoted or shlex.quote('')}")


def label(key: object, value: object) -> Step:
    """A note on the image that tools can read."""
    if not isinstance(key, str) or not _LABEL.fullmatch(key):
        raise DefinitionError(f"Invalid label {key!r}. Write letters, digits, '.', '_', '/' and '-'.")
    return Step(text=f"LABEL {key}={shlex.quote(one_line(f'label {key}', value))}")


def user(name: object) -> Step:
    """The user, and group, of the steps that follow and of the container."""
    return Step(text=f"USER {owner('user', name)}")


def owner(parameter: str, value: object) -> str:
    """Return a `user` or `user:group`, by name or number.

    Raises:
        DefinitionError: it is something else.
    """
    if not isinstance(value, str) or not _OWNER.fullmatch(value):
        raise DefinitionError(
            f"Invalid {parameter} {value!r}. Write a name or a number, for example 'app' or 'app:app'."
        )
    return value


def workdir(path: str) -> Step:
    """The folder of the steps that follow and of the container."""
    text = as_path("working directory", path)
    if re.search(r"""["'\\]""", text):
        raise DefinitionError(f"Invalid working directory {text!r}. Write it without quotes and backslashes.")
    return Step(text=f"WORKDIR {text}")


def expose(port: object, proto: object) -> Step:
    """A port that the container listens on."""
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= _LAST_PORT:
        raise DefinitionError(f"Invalid port {port!r}. Write a number from 1 to {_LAST_PORT}.")
    if proto not in ("tcp", "udp"):
        raise DefinitionError(f"Invalid proto {proto!r} of port {port}. Write 'tcp' or 'udp'.")
    return Step(text=f"EXPOSE {port}/{proto}")
