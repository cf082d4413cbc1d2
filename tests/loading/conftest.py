"""A folder for the files of one test, and a Python that forgets them afterwards."""

import importlib
import sys

import pytest

CHUTE = 'Chute(username="me", name="app", image="python:3.11")'


class Project:
    """The user's folder; it is the working folder too."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, source="", *, chute="chute"):
        """Save a file; unless `chute` is None, it makes a chute of that name after `source`."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (
            [source] if chute is None else ["from chutes.chute import Chute", source, f"{chute} = {CHUTE}"]
        )
        path.write_text("\n".join(lines) + "\n")
        importlib.invalidate_caches()
        return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield Project(tmp_path)
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
