"""Which saved files count, and which of them cannot be compiled."""

import asyncio
from pathlib import Path

import pytest

from chutes.errors import ServeError
from chutes.serve.sources import name_of, saved_files, syntax_problem


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1\ndef f(:\n", "line 2: invalid syntax: def f(:"),
        ("if x:\ny = 1\n", "line 2: expected an indented block after 'if' statement on line 1: y = 1"),
        ("x = (\n", "line 1: '(' was never closed: x = ("),
        (b"# -*- coding: nonsense -*-\n", "line 0: unknown encoding: nonsense"),
        (b"x = '\xff'\n", "line 1: "),
        (b"x = 1\0\n", "null bytes"),
    ],
)
def test_a_file_that_cannot_be_compiled_says_why_and_where(tmp_path, source, problem):
    assert problem in (syntax_problem(write(tmp_path / "app.py", source)) or "")


@pytest.mark.parametrize("source", ["", "import nothing_like_it\n1 / 0\n", "x = '\\d'\n"])
def test_a_file_that_compiles_has_no_problem_whatever_it_would_do(tmp_path, source):
    assert syntax_problem(write(tmp_path / "app.py", source)) is None


def test_a_deleted_file_and_a_file_of_another_kind_have_no_problem(tmp_path):
    assert syntax_problem(tmp_path / "gone.py") is None
    assert syntax_problem(write(tmp_path / "x.pyx", "def f(:")) is None


def test_a_file_is_named_from_its_watched_folder(tmp_path):
    folders = [tmp_path / "other", tmp_path]
    assert name_of(tmp_path / "parts" / "model.py", folders) == "parts/model.py"
    assert name_of(Path("/elsewhere/app.py"), folders) == "/elsewhere/app.py"


async def test_saved_python_files_are_reported_and_nothing_else(tmp_path):
    ignored = [
        ".venv/lib/x.py",
        ".git/hooks/x.py",
        "node_modules/a/x.py",
        "a/__pycache__/x.py",
        "a/notes.txt",
    ]
    for name in [*ignored, "a/b/model.py"]:
        write(tmp_path / name, "")
    seen = set()

    async def collect() -> None:
        async for paths in saved_files([tmp_path]):
            seen.update(paths)
            if tmp_path / "end.py" in paths:
                return

    collecting = asyncio.create_task(collect())
    # The watcher starts at an unknown time: what is written until then is lost.
    async with asyncio.timeout(20):
        while tmp_path / "a/b/model.py" not in seen:
            for name in [*ignored, "a/b/model.py"]:
                write(tmp_path / name, "x = 1")
            await asyncio.sleep(0.1)
        write(tmp_path / "end.py", "")
        await collecting
    assert seen == {tmp_path / "a/b/model.py", tmp_path / "end.py"}


async def test_a_folder_that_cannot_be_watched_is_named(tmp_path):
    with pytest.raises(ServeError, match=f"Cannot watch {tmp_path}/gone"):
        await anext(saved_files([tmp_path / "gone"]))
