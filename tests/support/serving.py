"""Small chutes, and clients that are open on them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from chutes.chute import Chute
from chutes.testing import TestClient


def new_chute(**options: Any) -> Chute:
    """A chute whose required values do not matter."""
    return Chute(**{"username": "acme", "name": "probe", "image": "python:3.11", **options})


@contextmanager
def serving(
    function: Callable[..., Any], path: str = "/run", *, chute: Chute | None = None, **options: Any
) -> Iterator[TestClient]:
    """A client of a chute that has `function` as a cord."""
    chute = chute or new_chute()
    chute.cord(path, **options)(function)
    with TestClient(chute) as client:
        yield client
