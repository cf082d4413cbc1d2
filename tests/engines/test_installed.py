"""An interpreter is asked once what it has."""

import sys

import pytest

from chutes.engines import look_into
from chutes.errors import EngineError


def interpreter(tmp_path, body):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


def test_this_interpreter_says_what_it_has():
    installed = look_into(None)
    assert installed.python == sys.executable
    assert {"fastapi", "uvicorn"} <= installed.versions.keys()
    assert installed.named("absent", "fastapi") == f"fastapi {installed.versions['fastapi']}"
    assert installed.named("absent") is None


def test_an_interpreter_runs_once(tmp_path):
    counter = tmp_path / "runs"
    python = interpreter(
        tmp_path, f'echo run >>{counter}; echo \'{{"versions": {{"vllm": "1"}}, "cuda": "12.8"}}\''
    )
    assert look_into(python) == look_into(python)
    assert look_into(python).cuda == "12.8"
    assert counter.read_text() == "run\n"


@pytest.mark.parametrize(
    ("body", "why"),
    [("echo 'no such module' >&2; exit 1", "no such module"), ("echo no JSON", "Expecting value")],
)
def test_an_interpreter_that_does_not_run_is_named(tmp_path, body, why):
    with pytest.raises(EngineError, match=why):
        look_into(interpreter(tmp_path, body))


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineError, match=r"engine_python='.*absent' does not run: No such file"):
        look_into(str(tmp_path / "absent"))
