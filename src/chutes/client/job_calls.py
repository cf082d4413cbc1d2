"""Jobs over HTTP, as steps and values that the sync and the async client share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from chutes.client.call import ABSENT, Call
from chutes.client.clock import Clock
from chutes.client.decode import Lines
from chutes.client.exchange import Exchange, Pause, Steps
from chutes.errors import CallRejected, JobCancelled, JobFailed
from chutes.suggestions import did_you_mean

__all__ = ["BrokenOff", "JobCalls", "JobEvent", "JobEvents", "Place", "is_end"]

_SHORTEST_LOOK = 0.05
_LONGEST_LOOK = 1.0
_LONGEST_PAUSE = 8.0
_NOT_FOUND = 404
_FINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something that happened to a run.

    Attributes:
        kind: state, progress or log.
        data: of a state the run as `info` shows it; of progress `progress` and `note`; of a log line `at`, `level`, `message`.
        id: goes on from here: `run.events(after=event.id)`.
    """

    kind: str
    data: Mapping[str, Any]
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run and the job that it is of."""

    id: str
    job: str

    def call(self, method: str, then: str = "", headers: Mapping[str, str] | None = None) -> Call:
        """The call of one of the run's routes."""
        path = f"/jobs/{quote(self.job, safe='')}/{quote(self.id, safe='')}{then}"
        return Call(target=path, method=method, headers=headers or {})


class JobCalls:
    """What both clients do with jobs.

    Args:
        exchange: how calls become answers.
        clock: what waiting is measured with.
    """

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock

    def submit(
        self,
        job: str,
        arguments: Mapping[str, Any],
        *,
        key: str | None,
        delay: float,
        priority: int,
        webhook: str | None,
    ) -> Steps[Place]:
        """Submit a run."""
        options = {"delay": delay, "priority": priority, "webhook": webhook}
        query = {name: value for name, value in options.items() if value}
        info = yield from self._exchange.value(
            Call(
                target=_path(job, query),
                method="POST",
                body=dict(arguments),
                headers={} if key is None else {"Idempotency-Key": key},
            )
        )
        return Place(id=info["id"], job=info["job"])

    def jobs(self) -> Steps[list[dict[str, Any]]]:
        """The jobs of the chute."""
        answer = yield from self._exchange.value(Call(target="/jobs", method="GET"))
        return list(answer["jobs"])

    def runs(
        self, job: str, status: str | None, limit: int, before: str | None
    ) -> Steps[list[dict[str, Any]]]:
        """Runs of a job, the newest first."""
        query = {"status": status, "limit": limit, "cursor": before}
        path = _path(job, {name: value for name, value in query.items() if value is not None})
        answer = yield from self._exchange.value(Call(target=path, method="GET"))
        return list(answer["runs"])

    def find(self, run_id: str, job: str | None) -> Steps[Place]:
        """Where a run is; without its job, each of the chute's is asked."""
        names = [job] if job is not None else [one["name"] for one in (yield from self.jobs())]
        missing: CallRejected | None = None
        for name in names:
            place = Place(id=run_id, job=name)
            try:
                yield from self.info(place)
            except CallRejected as error:
                if error.status != _NOT_FOUND:
                    raise
                missing = error
            else:
                return place
        text = f"There is no run {run_id!r} at the chute. Runs are removed some time after their end."
        raise CallRejected(text, status=_NOT_FOUND, detail=text) from missing

    def info(self, place: Place) -> Steps[dict[str, Any]]:
        """The run as it is now."""
        found: dict[str, Any] = yield from self._exchange.value(place.call("GET"))
        return found

    def files(self, place: Place) -> Steps[list[dict[str, Any]]]:
        """What the run has left."""
        answer = yield from self._exchange.value(place.call("GET", "/files"))
        return list(answer["files"])

    def file(self, place: Place, path: str) -> Steps[dict[str, Any]]:
        """One of them."""
        files = yield from self.files(place)
        found = next((file for file in files if file["path"] == path), None)
        if found is None:
            paths = [str(file["path"]) for file in files]
            known = did_you_mean(path, paths) or (
                f" It has {', '.join(paths[:5])}." if paths else " It has none."
            )
            text = f"Run {place.id!r} of job {place.job!r} has left no file {path!r}.{known}"
            raise CallRejected(text, status=_NOT_FOUND, detail=text)
        return found

    def cancel(self, place: Place) -> Steps[bool]:
        """End the run, or ask for its end; False when it had ended otherwise."""
        info = yield from self._exchange.value(place.call("DELETE"))
        return bool(info["cancel_requested"]) or info["status"] == "cancelled"

    def retry(self, place: Place) -> Steps[dict[str, Any]]:
        """Queue it once more."""
        found: dict[str, Any] = yield from self._exchange.value(place.call("POST", "/retry"))
        return found

    def purge(self, job: str, age: float) -> Steps[int]:
        """Remove the runs of a job that ended `age` seconds ago or earlier; returns how many."""
        answer = yield from self._exchange.value(
            Call(target=_path(job, {"older_than": age}), method="DELETE", body=ABSENT)
        )
        return int(answer["removed"])

    def result(self, place: Place, timeout: float | None) -> Steps[Any]:
        """What the function returned, once the run has ended."""
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        wait = _SHORTEST_LOOK
        while True:
            info = yield from self.info(place)
            if info["status"] in _FINAL:
                return _outcome(info)
            left = wait if deadline is None else deadline - self._clock.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"Run {place.id} of job {place.job!r} is {info['status']} after {timeout:g} s; it goes on."
                )
            yield Pause(seconds=min(wait, left))
            wait = min(wait * 1.5, _LONGEST_LOOK)

    def events(self, place: Place, after: str) -> Call:
        """The call whose answer is the run's events."""
        return place.call("GET", "/events", {"Last-Event-ID": after} if after else None)

    def pause(self, breaks: int) -> Steps[None]:
        """Wait before events are asked for again, after so many answers that broke off one after the other."""
        yield Pause(seconds=float(min(_LONGEST_PAUSE, 0.25 * 2 ** min(breaks, 10))))


class BrokenOff(Exception):  # noqa: N818 - named for the condition
    """The answer with events began well, and ended too early."""


class JobEvents:
    """Cuts the bytes of an answer into events."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._fields: dict[str, str] = {}

    def feed(self, chunk: bytes) -> list[JobEvent]:
        """The events that `chunk` completes."""
        found = []
        for line in self._lines.feed(chunk):
            name, _, value = line.decode(errors="replace").partition(":")
            if line:
                self._fields[name] = value.removeprefix(" ")
            elif "data" in self._fields:
                found.append(self._event())
        return found

    def _event(self) -> JobEvent:
        fields, self._fields = self._fields, {}
        return JobEvent(
            kind=fields.get("event", "message"), data=json.loads(fields["data"]), id=fields.get("id", "")
        )


def is_end(event: JobEvent) -> bool:
    """Whether nothing comes after it."""
    return event.kind == "state" and event.data.get("status") in _FINAL


def _path(job: str, query: Mapping[str, Any]) -> str:
    path = f"/jobs/{quote(job, safe='')}"
    return f"{path}?{urlencode(query)}" if query else path


def _outcome(info: Mapping[str, Any]) -> Any:
    if info["status"] == "failed":
        raise JobFailed(f"Run {info['id']} of job {info['job']!r} failed: {info['error']}", info["id"])
    if info["status"] == "cancelled":
        raise JobCancelled(f"Run {info['id']} of job {info['job']!r} was cancelled.", info["id"])
    return info["result"]
