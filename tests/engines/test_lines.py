"""Lines of an engine become records of our log, at a level that is guessed from the line."""

import logging

import pytest

from chutes.engines.lines import EngineLines, level_of

VLLM = "(APIServer pid=18473) WARNING 11-23 19:10:05 [system_utils.py:255] Found ulimit of 20000"
LLAMA = "0.00.012.114 I srv    load_model: loading model '/m.gguf'"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (VLLM, logging.WARNING),
        ("(EngineCore pid=1) ERROR 11-23 19:10:05 [core.py:1] no", logging.ERROR),
        ("INFO:     Started server process [1]", logging.DEBUG),
        ("WARNING: low on memory", logging.WARNING),
        (LLAMA, logging.DEBUG),
        ("0.03.905.393 W srv    operator(): unauthorized", logging.WARNING),
        ("0.03.905.393 E srv    load: failed", logging.ERROR),
        ("a plain line, which much later on the way says that there was an ERROR somewhere", logging.DEBUG),
        ("", logging.DEBUG),
    ],
)
def test_the_level_is_guessed(line, level):
    assert level_of(line) == level


def test_a_traceback_is_an_error_to_its_last_line(caplog):
    lines = EngineLines("scripted")
    text = ["Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: no", "and on"]
    with caplog.at_level(logging.DEBUG, "chutes.engine"):
        for line in text:
            lines.take(line)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3 + [logging.DEBUG]
    assert caplog.records[0].getMessage() == "[scripted] Traceback (most recent call last):"


def test_what_is_below_the_least_level_becomes_a_detail(caplog):
    lines = EngineLines("vllm")
    lines.least = logging.ERROR
    with caplog.at_level(logging.INFO, "chutes.engine"):
        lines.take(VLLM)
        lines.take("ERROR: no")
    assert [record.getMessage() for record in caplog.records] == ["[vllm] ERROR: no"]


@pytest.mark.parametrize(
    ("line", "gist"),
    [
        (VLLM, "Found ulimit of 20000"),
        (LLAMA, "loading model '/m.gguf'"),
        ("INFO:     Waiting for application startup.", "Waiting for application startup."),
        ("Loading weights: 100%", "Loading weights: 100%"),
        ("\x1b[32mINFO\x1b[0m:     coloured", "coloured"),
        ("[2026-11-23 19:00:00 TP0] Load weight begin.", "Load weight begin."),
    ],
)
def test_the_gist_of_a_line_is_what_it_says(line, gist):
    lines = EngineLines("x")
    lines.take(line)
    assert lines.gist == gist


def test_a_long_line_has_a_short_gist():
    lines = EngineLines("x")
    lines.take("word " * 100)
    assert len(lines.gist) <= 110


def test_what_tells_something_of_a_traceback_is_kept():
    lines = EngineLines("x")
    frame = ['  File "a.py", line 1, in f', "    return x(", "           ^^^^"]
    origin = "(EngineCore pid=1) ERROR 11-23 19:10:05 [core.py:1] "
    for line in ["begin", "Traceback (most recent call last):", *frame, *frame, "ValueError: no"]:
        lines.take(line)
    for line in [*frame[:2], "OSError: gone"]:
        lines.take(origin + line)
    assert lines.telling == (
        "begin",
        "Traceback (most recent call last):",
        "ValueError: no",
        origin + "OSError: gone",
    )


def test_no_more_than_the_last_twenty_are_kept_for_telling():
    lines = EngineLines("x")
    for number in range(30):
        lines.take(f"line {number}")
    assert lines.telling == tuple(f"line {number}" for number in range(10, 30))
