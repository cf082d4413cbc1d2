"""Tracebacks: the user's frames, and nobody else's."""

import json
import os
import sys

import chutes.errors
from chutes.testing import wait_until
from chutes.tracebacks import format_user_stack, format_user_traceback, is_user_file, user_frames


def _fails_inside_a_library():
    json.loads("{")


def _caught(function):
    try:
        function()
    except Exception as exc:
        return exc
    raise AssertionError("the function did not fail")


def test_a_file_of_the_project_is_the_users():
    assert is_user_file(__file__)


def test_files_of_python_of_libraries_and_of_this_package_are_not():
    import pytest

    for module in (os, json, pytest, chutes.errors):
        assert not is_user_file(module.__file__), module
    assert not is_user_file("<frozen importlib._bootstrap>")
    assert not is_user_file("/srv/app/.venv/lib/python3.12/site-packages/torch/serialization.py")


def test_the_users_frames_are_found_outermost_first():
    frames = user_frames(_caught(_fails_inside_a_library))

    assert [frame.name for frame in frames] == ["_caught", "_fails_inside_a_library"]


def test_the_frames_of_libraries_are_left_out():
    text = format_user_traceback(_caught(_fails_inside_a_library))

    assert 'json.loads("{")' in text
    assert "decoder.py" not in text
    assert text.rstrip().splitlines()[-1].startswith("json.decoder.JSONDecodeError")


def test_the_exceptions_behind_are_shown_in_the_same_way():
    def function():
        try:
            _fails_inside_a_library()
        except ValueError as exc:
            raise RuntimeError("no configuration") from exc

    text = format_user_traceback(_caught(function))

    assert "JSONDecodeError" in text
    assert "direct cause" in text
    assert "no configuration" in text
    assert "decoder.py" not in text


def test_the_exceptions_of_a_group_are_shown_in_the_same_way():
    def function():
        raise ExceptionGroup("two hooks", [_caught(_fails_inside_a_library), KeyError("x")])

    text = format_user_traceback(_caught(function))

    assert "JSONDecodeError" in text
    assert "KeyError: 'x'" in text
    assert "decoder.py" not in text


def test_of_a_stack_the_users_functions_that_we_called_are_shown():
    shown = []

    def called():
        shown.append(format_user_stack(sys._getframe()))
        return True

    wait_until(called)

    assert [line.rpartition(" in ")[2] for line in shown[0].splitlines() if line.startswith("  File")] == [
        "called"
    ]


def test_of_a_stack_without_any_the_innermost_frames_are_shown():
    (shown,) = list(map(format_user_stack, [sys._getframe()]))

    assert shown.count("  File ") == 6
    assert shown.splitlines()[-1].strip() == "(shown,) = list(map(format_user_stack, [sys._getframe()]))"


def test_all_frames_stay_when_none_is_the_users():
    exc = _caught(_fails_inside_a_library)
    while exc.__traceback__ is not None and is_user_file(exc.__traceback__.tb_frame.f_code.co_filename):
        exc = exc.with_traceback(exc.__traceback__.tb_next)

    assert "decoder.py" in format_user_traceback(exc)
