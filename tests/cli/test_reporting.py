"""Errors on the terminal: one line, the user's frames where they help, the exit code."""

import pytest

from chutes.cli.reporting import report
from chutes.errors import (
    ChutesError,
    DefinitionError,
    LoadError,
    ProcessError,
    ServeError,
    SettingsError,
    StartupError,
)


def caught(function):
    try:
        function()
    except ChutesError as exc:
        return exc
    raise AssertionError("the function did not fail")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DefinitionError("x"), 2),
        (LoadError("x"), 2),
        (ServeError("x"), 2),
        (SettingsError("x"), 2),
        (StartupError("x"), 1),
        (ProcessError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_exit_code_tells_bad_usage_from_failure(error, code, capsys):
    assert report(error, debug=False) == code
    assert capsys.readouterr().err.endswith("Error: x\n")


def test_a_definition_is_told_with_its_line(capsys):
    def wrong():
        raise DefinitionError("Invalid path")

    report(caught(wrong), debug=False)

    err = capsys.readouterr().err
    assert err.startswith("Error: tests/cli/test_reporting.py, line ") or "test_reporting.py, line " in err
    assert err.endswith(": Invalid path\n")
    assert err.count("\n") == 1


def test_a_hook_that_failed_is_told_with_its_traceback(capsys):
    def hook():
        raise OSError("no weights")

    def start():
        try:
            hook()
        except OSError as exc:
            raise StartupError("The startup hook 'load' failed.") from exc

    report(caught(start), debug=False)

    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert 'raise OSError("no weights")\nOSError: no weights\nError: The startup hook' in err
    assert "StartupError" not in err


def test_debug_shows_every_frame(capsys):
    def wrong():
        raise LoadError("no such thing")

    report(caught(wrong), debug=True)

    err = capsys.readouterr().err
    assert "in wrong" in err
    assert err.endswith("Error: no such thing\n")


def test_a_text_that_no_terminal_can_show_is_shown_all_the_same(capsys):
    report(LoadError("lone \udc80"), debug=False)

    assert capsys.readouterr().err == "Error: lone \\udc80\n"
