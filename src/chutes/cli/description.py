"""A chute as plain data: what `chutes show --json` prints."""

import dataclasses
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from chutes.chute.chute import definition_of
from chutes.chute.cord import Cord
from chutes.chute.hooks import Hook
from chutes.chute.job import Job
from chutes.chute.node_selector import NodeSelector
from chutes.chute.websocket import Socket
from chutes.image import Image
from chutes.loading import LoadedChute

__all__ = ["describe"]

_CONVERTER = re.compile(r"\{(\w+):\w+\}")
_JSON = "application/json"
_Operation = Mapping[str, Any]


def describe(loaded: LoadedChute, now: datetime) -> dict[str, Any]:
    """Everything that the chute's file says, as JSON values.

    Schemas refer to each other as in OpenAPI, by `#/components/schemas/…`, which is part of the result.

    Args:
        loaded: the chute, with what it was loaded from.
        now: the moment, with its zone, after which the next runs of jobs are looked for.
    """
    definition = definition_of(loaded.chute)
    openapi = _openapi(loaded)
    paths = openapi.get("paths", {})
    config = definition.config
    return {
        "chute": f"{config.username}/{config.name}",
        "file": str(loaded.place.file),
        "attribute": loaded.name,
        "stand_ins": list(loaded.stand_ins),
        "config": {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}
        | {"passthrough_headers": sorted(config.passthrough_headers)},
        "engine": None if definition.engine is None else dataclasses.asdict(definition.engine),
        "cords": [_cord(cord, _operation(cord, paths)) for cord in definition.cords],
        "websockets": [_socket(socket) for socket in definition.sockets],
        "jobs": [_job(job, now) for job in definition.jobs.values()],
        "startup": [_hook(hook) for hook in definition.ordered_startup()],
        "shutdown": [_hook(hook) for hook in definition.ordered_shutdown()],
        "components": {"schemas": openapi.get("components", {}).get("schemas", {})},
    }


def _openapi(loaded: LoadedChute) -> dict[str, Any]:
    with warnings.catch_warnings():
        if loaded.stand_ins:
            # A stand-in as the default of a parameter has no JSON, and nobody misses it.
            warnings.simplefilter("ignore")
        return loaded.chute.app.openapi()


def _operation(cord: Cord, paths: Mapping[str, Mapping[str, _Operation]]) -> _Operation:
    """What OpenAPI says of the cord; nothing when it is left out of the schema."""
    return paths.get(_CONVERTER.sub(r"{\1}", cord.path), {}).get(cord.method.lower(), {})


def _cord(cord: Cord, operation: _Operation) -> dict[str, Any]:
    return {
        "name": cord.name,
        "method": cord.method,
        "path": cord.path,
        "doc": _doc(cord.function),
        "stream": cord.stream,
        "passthrough": cord.passthrough,
        "on_disconnect": cord.on_disconnect,
        "parameters": list(operation.get("parameters", ())),
        "input": _content(operation.get("requestBody", {}), _JSON),
        "output": _content(operation.get("responses", {}).get("200", {}), cord.output_content_type),
    }


def _content(body: Mapping[str, Any], preferred: str) -> dict[str, Any] | None:
    """The content type and schema of a request's or an answer's body; of several types the preferred one."""
    content = body.get("content", {})
    if not content:
        return None
    media = preferred if preferred in content else next(iter(content))
    return {"content_type": media, "schema": content[media].get("schema", {})}


def _socket(socket: Socket) -> dict[str, Any]:
    return {"name": socket.name, "path": socket.path, "doc": _doc(socket.function)}


def _job(job: Job, now: datetime) -> dict[str, Any]:
    return {
        "name": job.name,
        "function": job.function.__name__,
        "doc": _doc(job.function),
        "parameters": list(_parameters(job.function)),
        "schedule": job.schedule,
        "timezone": job.timezone,
        "next_run": _next_run(job, now),
        "retry_count": job.retry_count,
        "timeout": job.timeout,
    }


def _parameters(function: Callable[..., Any]) -> Iterable[dict[str, Any]]:
    """The arguments that a run takes, by name."""
    _, *parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        required = parameter.default is parameter.empty
        default = {} if required else {"default": _plain(parameter.default)}
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield {"name": parameter.name, "required": required, **default}


def _next_run(job: Job, now: datetime) -> str | None:
    if job.cron is None:
        return None
    from cronsim import CronSim

    moment: datetime = next(CronSim(job.cron, now.astimezone(ZoneInfo(job.timezone))))
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _hook(hook: Hook) -> dict[str, Any]:
    return {"name": hook.name, "priority": hook.priority, "doc": _doc(hook.function)}


def _doc(function: Callable[..., Any]) -> str:
    return inspect.getdoc(function) or ""


def _plain(value: Any) -> Any:
    if isinstance(value, Image):
        return {"name": value.reference, "dockerfile": str(value)}
    if isinstance(value, NodeSelector):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | float) else repr(value)
