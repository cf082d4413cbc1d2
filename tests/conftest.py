"""What every test may ask for: an empty chute, and an environment without settings."""

import os

import pytest

from chutes import Chute


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees none of the `CHUTES_*` variables of the shell that it is run from."""
    for name in os.environ:
        if name.startswith("CHUTES_"):
            monkeypatch.delenv(name)


@pytest.fixture
def chute() -> Chute:
    """A chute without cords; each test writes its own on it."""
    return Chute(username="test", name="chute", image="python:3.11")
