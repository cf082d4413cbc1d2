"""Logs: what a person reads, what a machine reads, and what must not break them."""

import io
import json
import logging
import sys
import warnings

import pytest

from chutes.errors import SettingsError
from chutes.serve.logs import LogHandler, configure_logging, current_request_id
from chutes.settings import Settings

JSON = Settings(log_format="json")
HUMAN = Settings(log_format="human")
logger = logging.getLogger("chutes.test_logs")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def stderr(capsys):
    return lambda: capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch):
    """Called in the test itself: pytest exchanges sys.stderr between a fixture and its test."""

    def replace_stderr():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return replace_stderr


@pytest.fixture
def request_id():
    token = current_request_id.set("0123456789abcdef")
    yield "0123456789abcdef"
    current_request_id.reset(token)


def without_handlers_of_pytest():
    """They cannot handle what ours has to survive."""
    logging.getLogger().handlers.clear()


def only_line(read):
    (line,) = read().splitlines()
    return json.loads(line)


def test_a_json_line_has_the_fields_that_machines_ask_for(stderr, request_id):
    configure_logging(JSON, "info")
    logger.info("loaded %d documents", 3, extra={"seconds": 0.5, "model": {"name": "mini"}})

    line = only_line(stderr)

    assert line.pop("time")[10] == "T"
    assert line == {
        "level": "info",
        "logger": "chutes.test_logs",
        "message": "loaded 3 documents",
        "request_id": request_id,
        "seconds": 0.5,
        "model": {"name": "mini"},
    }


def test_the_time_is_utc_with_milliseconds(stderr):
    configure_logging(JSON, "info")
    values = {"msg": "x", "created": 1_700_000_000.25, "levelname": "INFO", "levelno": logging.INFO}
    logging.getLogger().handle(logging.makeLogRecord(values))

    assert only_line(stderr)["time"] == "2023-11-14T22:13:20.250Z"


def test_outside_of_a_request_the_id_is_null(stderr):
    configure_logging(JSON, "info")
    logger.warning("x")

    assert only_line(stderr)["request_id"] is None


def test_an_exception_is_in_the_line_with_its_type(stderr):
    configure_logging(JSON, "info")
    try:
        raise KeyError("missing")
    except KeyError:
        logger.exception("failed")

    line = only_line(stderr)

    assert line["exception_type"] == "KeyError"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("KeyError: 'missing'")


def test_logging_an_exception_without_one_is_harmless(stderr):
    configure_logging(JSON, "info")
    logger.error("failed", exc_info=True)  # noqa: LOG014 - the mistake under test

    assert "exception" not in only_line(stderr)


def test_a_line_for_people_is_short_and_names_the_request(stderr, request_id):
    configure_logging(HUMAN, "info")
    logger.warning("slow")

    line = stderr()

    assert line[2] == line[5] == ":"
    assert line[13:] == "WARNING  chutes.test_logs: slow [01234567]\n"


def test_the_exception_follows_a_line_for_people(stderr):
    configure_logging(HUMAN, "info")
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("failed", stack_info=True)

    text = stderr()
    first, second, *_ = text.splitlines()

    assert first.endswith("failed")
    assert second == "Traceback (most recent call last):"
    assert "ValueError: bad\nStack (most recent call last)" in text


def test_a_terminal_gets_colours_and_nothing_else_does(terminal):
    stream = terminal()
    configure_logging(Settings(), "info")
    logger.error("x")

    assert "\x1b[31mERROR   \x1b[0m" in stream.getvalue()


def test_no_color_is_obeyed(terminal):
    stream = terminal()
    configure_logging(Settings(no_color=True), "info")
    logger.error("x")

    assert "\x1b" not in stream.getvalue()


def test_without_a_terminal_lines_are_json(stderr):
    configure_logging(Settings(), "info")
    logger.error("x")

    assert only_line(stderr)["level"] == "error"


def test_a_terminal_gets_json_when_asked(terminal):
    stream = terminal()
    configure_logging(JSON, "info")
    logger.error("x")

    assert only_line(stream.getvalue)["message"] == "x"


def test_a_plain_record_is_its_message_alone(terminal):
    stream = terminal()
    configure_logging(Settings(), "info")
    logger.info("ready on\n  %s", "http://127.0.0.1", extra={"plain": "ready on\n  http://127.0.0.1"})

    assert stream.getvalue() == "ready on\n  http://127.0.0.1\n"


def test_a_plain_record_is_an_ordinary_json_line(stderr):
    configure_logging(JSON, "info")
    logger.info("ready", extra={"plain": "a banner", "url": "http://127.0.0.1"})

    line = only_line(stderr)

    assert line["url"] == "http://127.0.0.1"
    assert "plain" not in line


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("INFO", 2), ("error", 1)])
def test_the_level_is_a_threshold(stderr, level, count):
    configure_logging(JSON, level)
    logger.debug("a")
    logger.info("b")
    logger.error("c")

    assert len(stderr().splitlines()) == count


def test_an_unknown_level_is_refused_with_the_nearest_one():
    with pytest.raises(SettingsError, match=r"Unknown log level 'warnings'\. Did you mean 'warning'"):
        configure_logging(JSON, "warnings")


def test_configuring_again_replaces_the_handler(stderr):
    configure_logging(HUMAN, "debug")
    configure_logging(JSON, "info")
    logger.info("once")

    assert only_line(stderr)["message"] == "once"
    assert len([one for one in logging.getLogger().handlers if isinstance(one, LogHandler)]) == 1


def test_handlers_of_others_stay(stderr):
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    configure_logging(JSON, "info")

    assert other in logging.getLogger().handlers


def test_uvicorn_s_lines_are_among_ours(stderr):
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = [logging.StreamHandler()]
        logging.getLogger(name).propagate = False
    configure_logging(JSON, "info")
    logging.getLogger("uvicorn.error").warning("started", extra={"color_message": "\x1b[1mstarted"})

    line = only_line(stderr)

    assert line["logger"] == "uvicorn.error"
    assert "color_message" not in line


@pytest.mark.parametrize(("level", "count"), [("info", 0), ("debug", 1)])
def test_the_file_watcher_is_heard_at_debug_only(stderr, level, count):
    configure_logging(JSON, level)
    logging.getLogger("watchfiles.main").info("3 changes detected")

    assert len(stderr().splitlines()) == count


def test_warnings_become_lines(stderr):
    configure_logging(JSON, "info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("an old name", DeprecationWarning, stacklevel=1)

    line = only_line(stderr)

    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "DeprecationWarning: an old name" in line["message"]
    assert not line["message"].endswith("\n")


class Unshowable:
    def __str__(self):
        raise RuntimeError("no text")


def _cycle():
    cycle = {}
    cycle["self"] = cycle
    return cycle


def _deep():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"\xff", float("nan"), {(1, 2): 3}, Unshowable(), [Unshowable()], _cycle(), _deep()],
    ids=lambda value: type(value).__name__,
)
def test_no_extra_value_breaks_a_line(stderr, value):
    configure_logging(JSON, "info")
    logger.info("x", extra={"value": value, "other": 1})

    line = only_line(stderr)

    assert isinstance(line["value"], str | list | dict)
    assert line["other"] == 1


def test_an_extra_named_as_one_of_our_fields_is_kept_beside_it(stderr):
    configure_logging(JSON, "info")
    logger.info("x", extra={"time": "noon", "level": 9})

    line = only_line(stderr)

    assert (line["level"], line["level_"], line["time_"]) == ("info", 9, "noon")


@pytest.mark.parametrize("settings", [JSON, HUMAN], ids=["json", "human"])
def test_arguments_that_do_not_fit_the_message_are_shown(stderr, settings):
    without_handlers_of_pytest()
    configure_logging(settings, "info")
    logger.info("%d items", "three")

    assert "%d items (its arguments do not fit: ('three',))" in stderr()


@pytest.mark.parametrize("settings", [JSON, HUMAN], ids=["json", "human"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_any_text_can_be_written_to_any_stream(monkeypatch, settings, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    without_handlers_of_pytest()
    configure_logging(settings, "info")
    logger.info("lone \udc80, %s", "né \N{SNOWMAN}")
    written = raw.getvalue().decode(encoding)

    if settings is JSON:
        assert json.loads(written)["message"] == "lone \udc80, né \N{SNOWMAN}"
    else:
        assert "lone \\udc80" in written


def test_text_in_other_scripts_stays_readable_in_json(stderr):
    configure_logging(JSON, "info")
    logger.info("größe 大小")

    assert "größe 大小" in stderr()


@pytest.mark.parametrize("settings", [JSON, HUMAN], ids=["json", "human"])
def test_a_closed_stderr_loses_the_line_and_nothing_else(monkeypatch, settings):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(settings, "info")

    logger.info("nobody reads this")


def test_a_program_without_stderr_can_log(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    configure_logging(Settings(), "info")

    logger.info("nobody reads this")


def test_a_reader_that_left_is_no_error(monkeypatch):
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Broken())
    configure_logging(JSON, "info")

    logger.info("nobody reads this")
