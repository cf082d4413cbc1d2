"""Runs what a page of the docs shows: its Python blocks, its files and its terminal sessions.

A Python block runs in one namespace for the whole page. One that begins with a comment such as `# app.py` is saved as
that file, and one that begins with `# app.py, continued` is added to it. In a `console` block each line after `$ ` is a
command; the lines below it are what it prints, with `...` for a part that differs from run to run. A command that serves
a chute goes on in the background until the page ends, on a free port in place of 8000 (and of 8001, for probes).
`<!-- skip: next "reason" -->` leaves the next block out.
"""

import doctest
import importlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Document, Example, Lexeme
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parent.parent.parent
FILE_BLOCK = re.compile(r"# (?P<name>[\w/]+\.\w+)(?P<goes_on>, continued)?\n")
DOCTEST_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SERVING = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:chutes run|python app\.py|make run)\b")
# A language model beside other tests on two cores takes its time.
START_SECONDS = 120
COMMAND_SECONDS = 150


class PageRun:
    """One page in a folder of its own, with the server that it started."""

    def __init__(self, page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page = page
        self.folder = folder
        self.port, self.probe_port = free_port(), free_port()
        self.server: subprocess.Popen[str] | None = None
        self.log = folder.with_suffix(".log")
        (folder / "examples").symlink_to(ROOT / "examples")
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        monkeypatch.setenv("COLUMNS", "100")
        # A reader's pytest has none of the plugins of our own tests.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self.module = types.ModuleType("page_" + re.sub(r"\W", "_", page.stem))
        monkeypatch.setitem(sys.modules, self.module.__name__, self.module)
        self.modules: list[str] = []

    def run(self) -> None:
        """Runs every example in its order."""
        python = PythonCodeBlockParser(doctest_optionflags=DOCTEST_OPTIONS)
        python.codeblock_parser = CodeBlockParser("python", self.python)
        document = Document.parse(
            str(self.page), python, CodeBlockParser("console", self.terminal), SkipParser()
        )
        document.namespace = self.module.__dict__
        try:
            for example in document.examples():
                with suppress(SkipTest):
                    example.evaluate()
        finally:
            self.stop_server()
            for name in self.modules:
                sys.modules.pop(name, None)

    def python(self, example: Example) -> None:
        """Runs a block of Python, or saves it as the file that it names."""
        if named := FILE_BLOCK.match(example.parsed):
            self.save(named["name"], example.parsed, goes_on=bool(named["goes_on"]))
        else:
            example.parsed = Lexeme(
                self.with_port(example.parsed), example.parsed.offset, example.parsed.line_offset
            )
            PythonEvaluator()(example)

    def save(self, name: str, source: str, *, goes_on: bool) -> None:
        """Writes a file of the page, and imports it as long as it is no test."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() + "\n\n" if goes_on else ""
        path.write_text(before + self.with_port(source))
        if path.suffix == ".py" and not path.stem.startswith("test_"):
            sys.modules.pop(path.stem, None)
            importlib.invalidate_caches()
            importlib.import_module(path.stem)
            self.modules.append(path.stem)

    def terminal(self, example: Example) -> None:
        """Types each command and compares what it prints."""
        where = f"{self.page}:{example.line}"
        for command, expected in commands(example.parsed):
            printed = self.serve(command) if SERVING.match(command) else self.type(command, expected, where)
            assert same(expected, printed), (
                f"{where}: $ {command}\nexpected:\n{expected}\nprinted:\n{printed}"
            )

    def type(self, command: str, expected: str, where: str) -> str:
        """Runs a command to its end; one that fails without a word in the page is an error."""
        shell = subprocess.Popen(
            ["bash", "-c", self.with_port(command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = shell.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            printed, _ = shell.communicate()
            pytest.fail(f"{where}: $ {command}\nnot done after {COMMAND_SECONDS} s:\n{printed}")
        assert shell.returncode == 0 or expected, (
            f"{where}: $ {command}\nexit code {shell.returncode}\n{printed}"
        )
        return printed.replace(f":{self.port}", ":8000")

    def serve(self, command: str) -> str:
        """Starts the server of the page in place of the one before, and returns what it printed so far."""
        self.stop_server()
        if command.startswith("make run"):
            command = recipe_of(command)
        variables, words = split_variables(shlex.split(command))
        if "--port" in words:
            words[words.index("--port") + 1] = str(self.port)
        else:
            words += ["--port", str(self.port)]
        if "--probe-port" in words:
            words[words.index("--probe-port") + 1] = str(self.probe_port)
        with self.log.open("w") as log:
            self.server = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | variables, text=True
            )
        self.wait_until_ready()
        return self.log.read_text().replace(f":{self.port}", ":8000")

    def wait_until_ready(self) -> None:
        """Returns when the server's readiness probe answers 200."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.server is not None
            assert self.server.poll() is None, f"The server ended:\n{self.log.read_text()}"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        pytest.fail(f"The server was not ready after {START_SECONDS} s:\n{self.log.read_text()}")

    def stop_server(self) -> None:
        """Ends the server as Ctrl-C does."""
        if self.server is None:
            return
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server = None

    def with_port(self, text: str) -> str:
        """The text with this page's port where the page writes 8000."""
        ports = {"127.0.0.1:8000": self.port, "localhost:8000": self.port, "127.0.0.1:8001": self.probe_port}
        for written, port in ports.items():
            text = text.replace(written, f"{written.partition(':')[0]}:{port}")
        return text


def commands(source: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, with the text that it prints."""
    for part in re.split(r"^\$ ", source, flags=re.MULTILINE)[1:]:
        command, _, expected = re.sub(r"\\\n>? *", "", part).partition("\n")
        yield command.strip(), expected.strip()


def same(expected: str, printed: str) -> bool:
    """Whether the lines that a page shows are what was printed, as far as that is alike on every machine."""
    if not expected:
        return True
    pattern = ".*".join(re.escape(squeezed(part)) for part in expected.split("..."))
    return re.fullmatch(pattern, squeezed(printed), re.DOTALL) is not None


def squeezed(text: str) -> str:
    """The text with each run of blanks as one, without durations, and with one decimal of each number."""
    text = re.sub(r"\d+\.\d+ ?s\b", "N s", " ".join(text.split()))
    # A model's scores differ in the later decimals from one kind of processor to another.
    return re.sub(r"(\d\.\d)\d+", r"\1", text)


def split_variables(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """`A=1 command` as the shell reads it."""
    count = next(n for n, word in enumerate(words) if not re.match(r"[A-Z_]+=", word))
    return dict(word.split("=", 1) for word in words[:count]), words[count:]


def recipe_of(command: str) -> str:
    """The command that `make run` types."""
    words = ["make", "--dry-run", *command.split()[1:]]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    command = done.stdout.strip().splitlines()[-1]
    return command.replace(".venv/bin/", "")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
