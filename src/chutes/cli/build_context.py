"""The build context of the chute that a command line names."""

import contextlib
import sys

from chutes.build import Context, make_context
from chutes.cli.reporting import warn
from chutes.loading import LoadedChute, load

__all__ = ["read_chute", "read_context", "target_of"]


def read_chute(reference: str) -> LoadedChute:
    """Load the chute; libraries that this machine lacks are replaced by stand-ins, and named.

    Raises:
        LoadError: the reference leads to no chute.
    """
    # What the user's file prints is no part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        loaded = load(reference, stand_ins=True)
    if loaded.stand_ins:
        warn(f"Not installed here, and replaced by stand-ins: {', '.join(loaded.stand_ins)}.")
    return loaded


def read_context(reference: str) -> Context:
    """Gather what the image of the chute is built from.

    Raises:
        LoadError: the reference leads to no chute.
        BuildError: a file that the recipe names is missing.
    """
    return make_context(read_chute(reference))


def target_of(loaded: LoadedChute) -> str:
    """The chute as `chutes run` takes it inside of its image."""
    file = loaded.place.file.resolve().relative_to(loaded.place.root)
    return f"{file.as_posix()}:{loaded.name}"
