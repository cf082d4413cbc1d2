"""A folder with the files of one chute, and a Python that forgets them afterwards."""

import importlib
import sys

import pytest

from chutes.build import make_context
from chutes.loading import load

APP = """
from chutes import Chute, Image

chute = Chute(username="acme", name="search", image={image})
"""


class Project:
    """The user's folder; it is the working folder too."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, text=""):
        """Save a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return path

    def chute(self, source="", *, image='"python:3.11"', name="app.py"):
        """Save the chute's file; `source` stands before the chute."""
        return self.write(name, source + APP.format(image=image))

    def load(self, reference="app.py"):
        return load(reference, stand_ins=True)

    def context(self, reference="app.py"):
        return make_context(self.load(reference))


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield Project(folder)
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
