"""The HTTP surface of jobs: submit, list, look at, follow and cancel runs."""

import inspect
import json
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from chutes.chute.job import Job
from chutes.errors import InvalidArguments, RequestError, StoreError
from chutes.jobs.events import follow
from chutes.jobs.files_routes import DOWNLOAD, download, list_files
from chutes.jobs.run import Status
from chutes.jobs.service import JobService

__all__ = ["job_routes"]

_PAGE = 50
_LARGEST_PAGE = 1000
_LONGEST_AGE = 1e10
_TAG = "jobs"
_FILE = "/jobs/{name}/{id}/files/{path:path}"

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def job_routes(service: JobService, jobs: Mapping[str, Job]) -> list[APIRoute]:
    """The routes of a chute's jobs; none for a chute that has no jobs."""
    if not jobs:
        return []
    answers = _Answers(service)
    submits = [
        _route(f"/jobs/{job.name}", "POST", answers.submit(job), **_described(service, job))
        for job in jobs.values()
    ]
    return [
        *submits,
        _route("/jobs", "GET", answers.jobs, summary="The jobs of the chute"),
        _route("/jobs/{name}", "POST", answers.unknown, include_in_schema=False),
        _route("/jobs/{name}", "GET", answers.runs, summary="Runs of a job, the newest first", **_query()),
        _route("/jobs/{name}", "DELETE", answers.purge, summary="Remove runs that ended long ago", **_purge_query()),
        _route("/jobs/{name}/{id}", "GET", answers.run, summary="One run", **_path("name", "id")),
        _route("/jobs/{name}/{id}", "DELETE", answers.cancel, summary="Cancel a run", **_path("name", "id")),
        _route("/jobs/{name}/{id}/retry", "POST", answers.retry, summary="Queue a failed run again", **_path("name", "id")),
        _route("/jobs/{name}/{id}/events", "GET", answers.events, summary="Follow a run", **_path("name", "id")),
        _route("/jobs/{name}/{id}/files", "GET", answers.files, summary="The files that a run has left", **_path("name", "id")),
        _route("/jobs/{name}/{id}/files", "HEAD", answers.files, include_in_schema=False),
        _route(_FILE, "GET", answers.file, summary="Download a file of a run", **_path("name", "id", "path", answer=DOWNLOAD)),
        _route(_FILE, "HEAD", answers.file, include_in_schema=False),
    ]  # fmt: skip


class _Answers:
    """The endpoints, over one service."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def submit(self, job: Job) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            query = request.query_params
            run, is_new = await self._service.submit(
                job.name,
                await _json_object(request, job),
                key=request.headers.get("idempotency-key"),
                delay=_number(query.get("delay", "0"), "delay"),
                priority=int(_number(query.get("priority", "0"), "priority")),
                webhook=query.get("webhook"),
            )
            location = f"{request.scope.get('root_path', '').rstrip('/')}/jobs/{job.name}/{run.id}"
            return JSONResponse(run.latest.shown(), 202 if is_new else 200, {"Location": location})

        return endpoint

    async def unknown(self, request: Request) -> Response:
        self._service.job(request.path_params["name"])
        raise RuntimeError("A job has a route of its own.")

    async def jobs(self, _request: Request) -> Response:
        return JSONResponse({"jobs": self._service.described()})

    async def runs(self, request: Request) -> Response:
        job = self._service.job(request.path_params["name"])
        query = request.query_params
        count = _count(query.get("limit", str(_PAGE)))
        found = await self._service.runs(job.name, _status(query.get("status")), query.get("cursor"), count)
        cursor = found[-1].id if len(found) == count else None
        return JSONResponse({"runs": [run.shown() for run in found], "cursor": cursor})

    async def purge(self, request: Request) -> Response:
        job = self._service.job(request.path_params["name"])
        given = request.query_params.get("older_than")
        age = -1.0 if given is None else _number(given, "older_than")
        if not 0 <= age < _LONGEST_AGE:
            raise InvalidArguments(
                "older_than is missing, or negative. Write seconds, for example older_than=86400."
            )
        await self._service.open()
        return JSONResponse({"removed": await self._service.store.purge(age, job.name)})

    async def run(self, request: Request) -> Response:
        run = await self._service.find(request.path_params["id"], request.path_params["name"])
        return JSONResponse(run.latest.shown())

    async def cancel(self, request: Request) -> Response:
        run = await self._service.find(request.path_params["id"], request.path_params["name"])
        await run.cancel()
        # A running function is still to be told: 202, unless it is over.
        now = await run.refresh()
        return JSONResponse(now.shown(), 200 if now.is_final else 202)

    async def retry(self, request: Request) -> Response:
        run = await self._service.find(request.path_params["id"], request.path_params["name"])
        if not await run.retry():
            status = run.latest.status.value
            raise _Conflict(f"Run {run.id} is {status}; only a failed or cancelled run can be queued again.")
        return JSONResponse((await run.refresh()).shown(), 202)

    async def events(self, request: Request) -> Response:
        run = await self._service.find(request.path_params["id"], request.path_params["name"])
        last_id = request.headers.get("last-event-id", "")
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(
            follow(self._service, run, last_id), media_type="text/event-stream", headers=headers
        )

    async def files(self, request: Request) -> Response:
        run = await self._service.find(request.path_params["id"], request.path_params["name"])
        return list_files(run)

    async def file(self, request: Request) -> Response:
        run = await self._service.find(request.path_params["id"], request.path_params["name"])
        return download(request, await run.file(request.path_params["path"]))


class _Conflict(RequestError):  # noqa: N818 - named for the condition
    """The run is in a state that allows no such thing."""

    status = 409


def _route(path: str, method: str, endpoint: Endpoint, **options: Any) -> APIRoute:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except InvalidArguments as error:
            return JSONResponse(
                {"detail": error.errors or error.detail, "message": error.detail}, error.status
            )
        except RequestError as error:
            return JSONResponse({"detail": error.detail}, error.status, error.headers)
        except StoreError as error:
            return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "1"})

    name = re.sub(r"\W+", "_", f"{method}_{path}").strip("_").lower()
    answered.__name__ = name
    options.setdefault("tags", [_TAG])
    return APIRoute(path, answered, methods=[method], name=name, response_model=None, **options)


def _described(service: JobService, job: Job) -> dict[str, Any]:
    schema = service.arguments(job).schema()
    text = inspect.getdoc(job.function) or ""
    headers = [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 255},
            "description": "Sent once more, the same key gives the same run.",
        },
        {
            "name": "delay",
            "in": "query",
            "required": False,
            "schema": {"type": "number", "minimum": 0},
            "description": "Seconds before it may begin.",
        },
        {
            "name": "priority",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "default": 0},
            "description": "Higher ones go first.",
        },
        {
            "name": "webhook",
            "in": "query",
            "required": False,
            "schema": {"type": "string", "format": "uri", "maxLength": 2048},
            "description": "Where the end of the run is told.",
        },
    ]
    return {
        "summary": f"Submit a run of {job.name}",
        "description": text,
        "status_code": 202,
        "responses": {
            200: {"description": "The run that has this key already."},
            409: {"description": "The key belongs to a run with other arguments, or another webhook."},
            422: {"description": "The arguments do not fit."},
            503: {"description": "The run could not be stored; nothing was accepted."},
        },
        "openapi_extra": {
            "parameters": headers,
            "requestBody": {
                "required": bool(schema.get("required")),
                "content": {"application/json": {"schema": schema}},
            },
        },
    }


def _path(*names: str, answer: Mapping[int | str, dict[str, Any]] | None = None) -> dict[str, Any]:
    text = {"in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "responses": {
            404: {"description": f"There is no such job or {'file' if answer else 'run'}."},
            **(answer or {}),
        },
        "openapi_extra": {"parameters": [{"name": name, **text} for name in names]},
    }


def _query() -> dict[str, Any]:
    described = _path("name")
    described["openapi_extra"]["parameters"] += [
        {
            "name": "status",
            "in": "query",
            "required": False,
            "schema": {"enum": [one.value for one in Status]},
        },
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": _LARGEST_PAGE, "default": _PAGE},
        },
        {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}},
    ]
    return described


def _purge_query() -> dict[str, Any]:
    described = _path("name")
    described["openapi_extra"]["parameters"].append(
        {
            "name": "older_than",
            "in": "query",
            "required": True,
            "schema": {"type": "number", "minimum": 0},
            "description": "Seconds since their end, at least.",
        }
    )
    return described


async def _json_object(request: Request, job: Job) -> dict[str, Any]:
    body = await request.body()
    if not body.strip():
        return {}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidArguments(f"The body is no JSON: {error}.") from None
    if not isinstance(given, dict):
        kind = type(given).__name__
        raise InvalidArguments(
            f"The body is a JSON {kind}. Job {job.name!r} takes an object of its arguments by name, for example "
            '{"data": …}.'
        )
    return given


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidArguments(f"Invalid {name} {text!r}. It is a number, for example {name}=10.") from None


def _count(text: str) -> int:
    if text.isdigit() and 1 <= int(text) <= _LARGEST_PAGE:
        return int(text)
    raise InvalidArguments(f"Invalid limit {text!r}. It is a whole number from 1 to {_LARGEST_PAGE}.")


def _status(text: str | None) -> Status | None:
    if text is None:
        return None
    try:
        return Status(text)
    except ValueError:
        known = ", ".join(one.value for one in Status)
        raise InvalidArguments(f"Invalid status {text!r}. It is one of {known}.") from None
