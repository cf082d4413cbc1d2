"""Steps that say what a shell runs: while the image is built, when it starts, and to see how it is."""

import json
import math
import re
import shlex
from collections.abc import Iterable

from chutes.errors import DefinitionError
from chutes.image.step import Step, as_words, some_text

__all__ = ["entrypoint", "healthcheck", "run"]

_RUN_FLAGS = re.compile(r"(?:--(?:mount|network|security|device)=\S+\s+)*")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?\s*[^<\s]")
_CONTINUES = re.compile(r"(?<!\\)(?:\\\\)*\\[ \t]*$")


def run(command: str) -> Step:
    """A shell command; flags of RUN such as `--mount=…` may stand before it."""
    text = _stripped(command)
    flags = _RUN_FLAGS.match(text)
    end = flags.end() if flags else 0
    return Step(text=f"RUN {text[:end]}{_shell_form(text[end:])}")


def entrypoint(*arguments: str | Iterable[str]) -> Step:
    """The program that runs; one text is split as a shell would split it."""
    words = as_words("with_entrypoint()", arguments)
    if len(words) == 1 and isinstance(arguments[0], str):
        words = _split(words[0])
    return Step(text=f"ENTRYPOINT {_json(words)}")


def healthcheck(
    command: str, *, interval: float, timeout: float, start_period: float, retries: object
) -> Step:
    """A shell command that ends with 0 while the container is healthy; times are in seconds."""
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 1:
        raise DefinitionError(f"Invalid retries={retries!r} of a health check. Write a whole number from 1.")
    flags = [
        f"--interval={_seconds('interval', interval, least=0.001)}",
        f"--timeout={_seconds('timeout', timeout, least=0.001)}",
        f"--start-period={_seconds('start_period', start_period, least=0)}",
        f"--retries={retries}",
    ]
    # Builders refuse a start period of nothing.
    flags = [flag for flag in flags if flag != "--start-period=0s"]
    return Step(text=f"HEALTHCHECK {' '.join(flags)} CMD {_shell_form(_stripped(command))}")


def _split(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise DefinitionError(f"Invalid entrypoint {text!r}. {error}; pass its words one by one.") from None
    if not words:
        raise DefinitionError(f"Invalid entrypoint {text!r}. Write a program, for example 'python app.py'.")
    return words


def _seconds(name: str, value: object, *, least: float) -> str:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not least <= number < math.inf:
        raise DefinitionError(f"Invalid {name}={value!r} of a health check. Write seconds, for example 30.")
    return f"{number:g}s"


def _stripped(command: str) -> str:
    # A blank after a backslash is part of the command.
    text = re.sub(r"(?<!\\)\s+\Z", "", some_text("command", command).lstrip())
    if not text:
        raise DefinitionError(
            f"Invalid command {command!r}. Write what a shell would run, for example 'pip list'."
        )
    return text


def _shell_form(command: str) -> str:
    """Write a command so that the shell gets it as it is, whatever the Dockerfile's own rules."""
    if _is_one_instruction(command):
        return command
    return _json(["/bin/sh", "-c", command])


def _is_one_instruction(command: str) -> bool:
    """Tell whether a Dockerfile reads these lines as one instruction, and a shell as the same command."""
    if _HEREDOC.search(command) or "\r" in command:
        return False
    *continued, last = command.split("\n")
    if re.search(r"\\[ \t]*\Z", last) or (continued and _is_comment(last)):
        return False
    # Within single quotes a shell keeps a backslash and the end of the line, a Dockerfile drops both.
    return all(
        (_CONTINUES.search(line) is not None and "'" not in line) or (number > 0 and _is_comment(line))
        for number, line in enumerate(continued)
    )


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _json(words: list[str]) -> str:
    return json.dumps(words, ensure_ascii=False)
