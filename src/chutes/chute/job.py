"""A background function of a chute, and the checks of its parameters."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from inspect import Parameter
from types import MappingProxyType
from typing import Any, TypeGuard

from chutes.chute.schedule import check_schedule, check_timezone, cron_expression
from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

__all__ = ["Job", "Port", "make_job"]

_NAME = re.compile(r"[a-z0-9_-]{1,63}")
_LAST_PORT = 65535
_OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "retry": "retry_count",
        "retries": "retry_count",
        "max_retries": "retry_count",
        "cron": "schedule",
        "every": "schedule",
        "tz": "timezone",
    }
)


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a job listens on while it runs.

    Attributes:
        name: 1 to 63 characters of a-z, 0-9, '_' and '-'.
        port: 1 to 65535.
        proto: "tcp", "udp" or "http".

    Raises:
        DefinitionError: one of them is something else.
    """

    name: str
    port: int
    proto: str = "tcp"

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise DefinitionError(
                f"Invalid name {self.name!r} of a port. Write 1 to 63 characters of a-z, 0-9, '_' and '-',"
                " for example 'metrics'."
            )
        if not _is_whole(self.port) or not 1 <= self.port <= _LAST_PORT:
            raise DefinitionError(
                f"Invalid port {self.port!r} of {self.name!r}. Write a number from 1 to {_LAST_PORT}."
            )
        if self.proto not in ("tcp", "udp", "http"):
            raise DefinitionError(
                f"Invalid proto {self.proto!r} of port {self.name!r}. Write 'tcp', 'udp' or 'http'."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One background function, as `@chute.job()` describes it. Valid once it is made.

    Attributes:
        function: what runs; its first parameter is the chute.
        name: 1 to 63 characters of a-z, 0-9, '_' and '-'.
        schedule: when it starts by itself, as written: five cron fields or an alias such as `@daily`.
        timezone: the zone in which the schedule is read.
        retry_count: attempts after the first, when one fails.
        timeout: seconds that one attempt may take; None for no limit.
        ports: ports that it listens on.
        upload: whether the files that it leaves in its working directory are kept with the run.
        ssh: whether one may log in while it runs.
        webhook: address that is told of the end of each run, unless its submission names another.

    Raises:
        DefinitionError: a value that cannot be, or a schedule on a function that needs arguments.
    """

    function: Callable[..., Any]
    name: str
    schedule: str | None = None
    timezone: str = "UTC"
    retry_count: int = 3
    timeout: float | None = None
    ports: tuple[Port, ...] = ()
    upload: bool = True
    ssh: bool = False
    webhook: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_function(self.function, self.name)
        _check_retries(self.retry_count, self.timeout, self.name)
        _check_ports(self.ports, self.name)
        for flag in ("upload", "ssh"):
            if not isinstance(getattr(self, flag), bool):
                raise DefinitionError(
                    f"Invalid {flag}={getattr(self, flag)!r} of job {self.name!r}. Write True or False."
                )
        _check_webhook(self.webhook, self.name)
        check_timezone(self.timezone, self.name)
        if self.schedule is not None:
            check_schedule(self.schedule, self.name)
            _check_runs_without_arguments(self.function, self.name)

    @property
    def cron(self) -> str | None:
        """The schedule as five cron fields, aliases resolved; None for a job without one."""
        return None if self.schedule is None else cron_expression(self.schedule)


def make_job(
    function: Callable[..., Any],
    name: str | None = None,
    schedule: str | None = None,
    retry_count: int = 3,
    timeout: float | None = None,
    *,
    timezone: str | None = None,
    ports: Iterable[Port | Mapping[str, Any]] | None = (),
    upload: bool = True,
    ssh: bool = False,
    webhook: str | None = None,
    **unknown: object,
) -> Job:
    """Make the job that `@chute.job(…)` describes, named for its function unless `name` is given.

    Raises:
        DefinitionError: see `Job`; an unknown keyword too.
    """
    _refuse_unknown(unknown)
    if timezone is not None and schedule is None:
        raise DefinitionError(
            f"timezone={timezone!r} has no meaning without a schedule."
            " Write for example schedule='0 2 * * *' beside it."
        )
    return Job(
        function=function,
        name=_name_of(function) if name is None else name,
        schedule=schedule,
        timezone="UTC" if timezone is None else timezone,
        retry_count=retry_count,
        timeout=timeout,
        ports=_as_ports(ports),
        upload=upload,
        ssh=ssh,
        webhook=webhook,
    )


def _refuse_unknown(unknown: Mapping[str, object]) -> None:
    known = [field.name for field in fields(Job) if field.name != "function"]
    for name in unknown:
        other = _OTHER_WORDS.get(name)
        hint = f" Did you mean {other!r}?" if other else did_you_mean(name, known)
        raise DefinitionError(f"A job has no parameter {name!r}.{hint} It takes {', '.join(known)}.")


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _name_of(function: object) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise DefinitionError(f"{function!r} has no name of its own. Write name='…' for its job.")
    return name


def _check_name(name: object) -> None:
    if _is_name(name):
        return
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() if isinstance(name, str) else ""
    valid = re.sub(r"[^a-z0-9_-]+", "_", words).strip("_-")[:63] or "daily_cleanup"
    raise DefinitionError(
        f"Invalid name {name!r} of a job. It is 1 to 63 characters of a-z, 0-9, '_' and '-',"
        f" for example name={valid!r}."
    )


def _check_function(function: object, job: str) -> None:
    if not callable(function):
        raise DefinitionError(f"Job {job!r} is {function!r}, which is no function.")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(
            f"The function of job {job!r} yields. A job has one result: return it,"
            " or write a cord with stream=True."
        )


def _check_retries(retry_count: object, timeout: object, job: str) -> None:
    if not _is_whole(retry_count) or retry_count < 0:
        raise DefinitionError(
            f"Invalid retry_count={retry_count!r} of job {job!r}."
            " Write a whole number: how often it is tried again, 0 for never."
        )
    if timeout is not None and (not _is_number(timeout) or timeout <= 0):
        raise DefinitionError(
            f"Invalid timeout={timeout!r} of job {job!r}."
            " Write a number of seconds above 0, for example 30, or None for no limit."
        )


def _check_webhook(webhook: object, job: str) -> None:
    if webhook is None or (isinstance(webhook, str) and re.match(r"https?://[^/@?#]+([/?#]|$)", webhook)):
        return
    raise DefinitionError(
        f"Invalid webhook={webhook!r} of job {job!r}."
        " Write an address without a password, for example webhook='https://example.com/hooks'."
    )


def _check_runs_without_arguments(function: Callable[..., Any], job: str) -> None:
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        del parameters[0]
    needed = [
        repr(parameter.name)
        for parameter in parameters
        if parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        # The runner brings it.
        and parameter.name != "output_dir"
    ]
    if needed:
        raise DefinitionError(
            f"Job {job!r} has a schedule, but its function needs {', '.join(needed)}, and a schedule passes"
            " nothing. Give them defaults, or leave the schedule out and submit the job."
        )


def _as_ports(ports: object) -> tuple[Port, ...]:
    if ports is None:
        return ()
    if not isinstance(ports, Iterable) or isinstance(ports, str | Mapping):
        raise DefinitionError(
            f"Invalid ports={ports!r}. Write a list: ports=[Port(name='metrics', port=9000, proto='http')]."
        )
    return tuple(_as_port(port) for port in ports)


def _as_port(port: object) -> Port:
    if isinstance(port, Port):
        return port
    if not isinstance(port, Mapping):
        raise DefinitionError(f"Invalid port {port!r}. Write Port(name='metrics', port=9000, proto='http').")
    known = [field.name for field in fields(Port)]
    for name in port:
        if name not in known:
            raise DefinitionError(
                f"A port has no field {name!r}.{did_you_mean(str(name), known)} It takes {', '.join(known)}."
            )
    for name in ("name", "port"):
        if name not in port:
            raise DefinitionError(f"The port {dict(port)!r} lacks {name!r}. It takes {', '.join(known)}.")
    return Port(**port)


def _check_ports(ports: tuple[Port, ...], job: str) -> None:
    for field in ("name", "port"):
        values = [getattr(port, field) for port in ports]
        for value in values:
            if values.count(value) > 1:
                raise DefinitionError(
                    f"Two ports of job {job!r} have the same {field}, {value!r}. Give each its own."
                )
