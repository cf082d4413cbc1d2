"""The words of `chutes bench` on the command line: clients, rates, times, headers and inputs."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from chutes.bench.plan import Arrivals, Plan
from chutes.cli.call_items import UsageError, body_of
from chutes.client import ABSENT, Call

__all__ = ["calls_of", "headers_of", "plans_of"]

T = TypeVar("T", int, float)
_CLIENTS = "8"
_CONNECTIONS = 1000
_DURATION = "10s"
_WARMUP_OF_A_RATE = 8
_TIME = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)(?P<unit>ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~\w-]+):[ \t]*(?P<value>[^\r\n\0]*)", re.ASCII)


def plans_of(
    *,
    clients: str | None,
    rate: str | None,
    arrivals: Arrivals,
    duration: str | None,
    requests: int | None,
    warmup: int | None,
    timeout: float,
) -> list[Plan]:
    """One plan for each number of clients, or for each rate.

    Raises:
        UsageError: a word is no such number, or the options do not go together.
    """
    counts = _numbers(clients or _CLIENTS, int, "--clients", "1,2,4,8")
    rates = _numbers(rate, float, "--rate", "50,100") if rate is not None else []
    if rates and clients is not None and len(counts) > 1:
        raise UsageError("With --rate there is one number of --clients: the most connections. Vary the rate.")
    seconds = None if duration is None and requests is not None else _seconds(duration or _DURATION)
    common: dict[str, Any] = {"duration": seconds, "requests": requests, "timeout": timeout}
    try:
        if not rates:
            return [
                Plan(clients=count, warmup=count if warmup is None else warmup, **common) for count in counts
            ]
        connections = _CONNECTIONS if clients is None else counts[0]
        warm = min(_WARMUP_OF_A_RATE, connections) if warmup is None else warmup
        return [
            Plan(clients=connections, rate=each, arrivals=arrivals, warmup=warm, **common) for each in rates
        ]
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


def headers_of(texts: Sequence[str]) -> dict[str, str]:
    """The headers that `Name: value` texts stand for.

    Raises:
        UsageError: a text is no header.
    """
    found = {}
    for text in texts:
        header = _HEADER.fullmatch(text)
        if not header or not header["value"].isascii():
            raise UsageError(f"Invalid header {text!r}. Write 'Name: value', for example 'X-Tenant: a'.")
        found[header["name"]] = header["value"].strip()
    return found


def calls_of(
    target: str, arguments: dict[str, Any], *, data: str | None, inputs: str | None, method: str | None
) -> list[Call]:
    """The calls to send in turn.

    Args:
        target: the path or the name of the cord.
        arguments: what the command line gives by name.
        data: the whole body as `--data` has it.
        inputs: a file with a line of JSON for each call; an object adds to the arguments by name, anything else
            is the whole body.
        method: the HTTP method, None for the one that the chute lists.

    Raises:
        UsageError: the file cannot be used.
    """
    if inputs is None:
        body = ABSENT if data is None else body_of(data, "--data")
        return [Call(target=target, arguments=arguments, body=body, method=method)]
    if data is not None:
        raise UsageError("--data is one body, and --inputs has one on each line. Give either.")
    return [
        Call(target=target, arguments={**arguments, **value}, method=method)
        if isinstance(value, dict)
        else Call(target=target, arguments=arguments, body=value, method=method)
        for value in _lines_of(inputs)
    ]


def _numbers(text: str, kind: type[T], option: str, example: str) -> list[T]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"Invalid {option} {text!r}. Write a number, or several: {option} {example}."
        ) from None


def _seconds(text: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise UsageError(f"Invalid --duration {text!r}. Write seconds, or a time such as 500ms, 30s or 2m.")
    return float(found["number"]) * _UNITS[found["unit"]]


def _lines_of(inputs: str) -> list[Any]:
    try:
        text = sys.stdin.read() if inputs == "-" else Path(inputs).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise UsageError(f"The file of --inputs is not text: {inputs!r}.") from exc
    found = []
    # Only a line feed ends a line: JSON may hold the other characters that `splitlines` takes for an end.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as exc:
                raise UsageError(f"Line {number} of {inputs} is not JSON: {exc}.") from exc
    if not found:
        raise UsageError(f"{inputs} has no inputs. Write one JSON value on each line.")
    return found
