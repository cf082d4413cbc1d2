"""What every test may ask for: an empty chute, and an environment without settings."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from chutes import Chute


def pytest_configure() -> None:
    """Signals mean what they mean in a terminal: a shell's background job, or `nohup`, has some of them ignored."""
    # How long an example takes says how busy the machine is.
    settings.register_profile("any machine", deadline=None)
    settings.load_profile("any machine")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test sees none of the `CHUTES_*` variables of the shell that it is run from, and has a home of its own."""
    for name in os.environ:
        if name.startswith("CHUTES_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CHUTES_HOME", str(tmp_path / "chutes-home"))


@pytest.fixture
def chute() -> Chute:
    """A chute without cords; each test writes its own on it."""
    return Chute(username="test", name="chute", image="python:3.11")


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory):
    """A Ray cluster of three nodes, two of which pretend to have GPUs; whoever harms it makes it whole again."""
    from support.ray_clusters import ray_cluster

    with ray_cluster(
        tmp_path_factory.mktemp("ray"), "--node", "gpu=h100,count=2", "--node", "gpu=a10,count=1"
    ) as found:
        yield found
