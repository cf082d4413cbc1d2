"""The command line in this process, and as processes of its own."""

import json
import logging
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from chutes.cli import application

CHUTE = """
from chutes import Chute

chute = Chute(username="me", name="hello", image="python:3.11")


@chute.cord("/hello")
async def hello(self, name: str = "you") -> str:
    return f"Hello, {name}!"
"""


class Serving:
    """A `chutes run` that is ready."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self.url = self.wait_for("url")["url"]

    def wait_for(self, key):
        """The next log line that has this key."""
        for text in self.process.stderr:
            line = json.loads(text)
            self.lines.append(line)
            if key in line:
                return line
        raise AssertionError(f"The server ended with {self.process.wait()}: {self.lines}")

    def stop(self, number):
        """Send a signal; returns the exit code and what was logged since."""
        self.process.send_signal(number)
        rest = self.process.stderr.read()
        return self.process.wait(), rest


class Shell:
    """Runs `chutes` in a folder."""

    chute = CHUTE

    def __init__(self, folder):
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CHUTES_")}
        own = {"PYTHONUNBUFFERED": "1", "COLUMNS": "100", "CHUTES_HOME": str(folder / "home")}
        self.environ = kept | own

    def write(self, name, text=CHUTE):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def popen(self, *words, program=("-m", "chutes"), **options):
        return subprocess.Popen(
            [sys.executable, *program, *map(str, words)],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *words, **options):
        """Run a command to its end: exit code, stdout, stderr."""
        with self.popen(*words, **options) as process:
            out, err = process.communicate(timeout=60)
            return process.returncode, out, err

    @contextmanager
    def serving(self, *words, **options):
        with self.popen(*words, **options) as process:
            try:
                yield Serving(process)
            finally:
                process.kill()


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run a command in this process; it works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in os.environ if name.startswith("CHUTES_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHUTES_HOME", str(tmp_path / "home"))
    known = set(sys.modules)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(*words):
        return CliRunner().invoke(application(), [str(word) for word in words], prog_name="chutes")

    run.folder = tmp_path
    run.write = Shell(tmp_path).write
    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
