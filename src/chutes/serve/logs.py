"""Log lines: for people on a terminal, as JSON elsewhere, each with the id of its request."""

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from chutes.serve.spans import trace_ids
from chutes.settings import Settings, check_log_level

__all__ = ["HumanFormatter", "JsonFormatter", "LogHandler", "configure_logging", "current_request_id"]

current_request_id: ContextVar[str | None] = ContextVar("chutes_request_id", default=None)
"""The id of the request that this code runs for, None outside of requests."""

# It counts the changes that our own line names.
_CHATTY = "watchfiles"
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_COLOURS = {"DEBUG": "36", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_SHORT_ID = 8
# The attributes of every record: whatever else one has came in through `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "request_id",
    "plain",
    "color_message",
}


def configure_logging(settings: Settings, level: str) -> None:
    """Send every log record, and every warning, to stderr through one handler.

    Human lines go to a terminal, JSON lines anywhere else; `CHUTES_LOG_FORMAT` overrides that. Calling it again
    replaces the handler.

    Raises:
        SettingsError: there is no level of this name.
    """
    number = logging.getLevelNamesMapping()[check_log_level(level).upper()]
    root = logging.getLogger()
    for former in [handler for handler in root.handlers if isinstance(handler, LogHandler)]:
        root.removeHandler(former)
    root.addHandler(LogHandler(_formatter(settings)))
    root.setLevel(number)
    # Uvicorn's own lines tell of connections and processes; ours say the same in the user's words.
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if number <= logging.DEBUG else logging.WARNING)
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger(_CHATTY).setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    logging.captureWarnings(capture=True)


class LogHandler(logging.Handler):
    """Writes to what `sys.stderr` is at that moment; a stream that is closed or broken loses the line."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or the lines of an exception."""
        text = self.format(record) + "\n"
        # stderr is None when the descriptor was closed before Python started.
        stream = sys.stderr or io.StringIO()
        encoding = _encoding(stream)
        with contextlib.suppress(OSError, ValueError):
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()


class HumanFormatter(logging.Formatter):
    """`12:03:44.123 INFO     chutes.acme.greeter: message [1a2b3c4d]`, and the exception below.

    A record with `extra={"plain": text}` is shown as that text; JSON lines keep its message.
    """

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        message = _message(record)
        if plain := getattr(record, "plain", ""):
            return str(plain)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        request_id = current_request_id.get()
        line = " ".join(
            (
                self._paint("2", f"{clock}.{int(record.msecs):03d}"),
                self._paint(_COLOURS.get(record.levelname, "0"), f"{record.levelname:<8}"),
                self._paint("2", f"{record.name}:"),
                message,
            )
        )
        if request_id is not None:
            line += " " + self._paint("2", f"[{request_id[:_SHORT_ID]}]")
        if (ids := trace_ids()) is not None:
            line += " " + self._paint("2", f"[trace {ids[0][:_SHORT_ID]}]")
        return "\n".join([line, *_attached(self, record)])

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id, the exception, and all `extra` fields.

    Inside an OpenTelemetry span it has `trace_id` and `span_id` too.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            "request_id": current_request_id.get(),
        }
        if (ids := trace_ids()) is not None:
            fields["trace_id"], fields["span_id"] = ids
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception_type"] = record.exc_info[0].__qualname__
        if attached := list(_attached(self, record)):
            fields["exception"] = "\n".join(attached)
        for name, value in vars(record).items():
            if name not in _STANDARD:
                fields[f"{name}_" if name in fields else name] = value
        return _dumped(fields)


def _formatter(settings: Settings) -> logging.Formatter:
    terminal = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
    if settings.log_format == "json" or (settings.log_format == "auto" and not terminal):
        return JsonFormatter()
    return HumanFormatter(colours=terminal and not settings.no_color)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage().rstrip("\n")
    except Exception:  # noqa: BLE001 - the user's format string, arguments and their __str__ run here
        return f"{_text(record.msg)} (its arguments do not fit: {_text(record.args)})"


def _attached(formatter: logging.Formatter, record: logging.LogRecord) -> Iterator[str]:
    if record.exc_info and record.exc_info[0] is not None:
        yield formatter.formatException(record.exc_info)
    elif record.exc_text and not record.exc_info:
        yield record.exc_text
    if record.stack_info:
        yield record.stack_info


def _dumped(fields: Mapping[str, Any]) -> str:
    ascii_only = not _encoding(sys.stderr).startswith("utf")
    try:
        return json.dumps(fields, ensure_ascii=ascii_only, allow_nan=False, default=_text)
    except (TypeError, ValueError, RecursionError):
        # A cycle, a number that JSON lacks, a key that is no text, or nesting without end.
        simple = {str(name): value if _is_plain(value) else _text(value) for name, value in fields.items()}
        return json.dumps(simple, ensure_ascii=ascii_only)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the user's __str__ runs here
        return f"<{type(value).__name__} that cannot be shown>"


def _encoding(stream: object) -> str:
    return (getattr(stream, "encoding", None) or "utf-8").lower()
