"""The course of a call, without its input and output, so that both clients share it.

Each function here is a generator: it yields the steps that need the network or time, and the client that
runs it sends back what came of each.
"""

import sys
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx2

from chutes.client.answer import check, connection_error
from chutes.client.call import Call, request_parts
from chutes.client.clock import Clock
from chutes.client.decode import value_of
from chutes.client.operations import find, method_of
from chutes.client.progress import Progress
from chutes.client.retry import RetryPolicy, is_repeatable, may_repeat, retry_after, was_not_begun
from chutes.errors import CallError, CallFailed, ConnectionFailed

__all__ = ["Exchange", "Pause", "Read", "Send", "Step", "Steps"]

T = TypeVar("T")
_METHOD_NOT_ALLOWED = 405
_SERVICE_UNAVAILABLE = 503
_ONCE = RetryPolicy(retries=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send the request; the step's outcome is the answer, read to its end when `whole`. `progress` hears of it."""

    request: httpx2.Request
    whole: bool
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read the rest of the answer, which releases its connection."""

    response: httpx2.Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait."""

    seconds: float


Step: TypeAlias = Send | Read | Pause
Steps: TypeAlias = Generator[Step, Any, T]


class Exchange:
    """What both clients do; it remembers the chute's OpenAPI document.

    Args:
        build: `build_request` of the client beneath.
        policy: when to send a call again.
        clock: measures the time that retries take.
    """

    def __init__(self, *, build: Callable[..., httpx2.Request], policy: RetryPolicy, clock: Clock) -> None:
        self._build = build
        self._policy = policy
        self._clock = clock
        self._schema: dict[str, Any] | None = None

    def answer(self, call: Call, *, whole: bool) -> Steps[httpx2.Response]:
        """The chute's last answer to `call`, whatever its status."""
        path, method = yield from self._place(call)
        response = yield from self._request(call, path, method or "POST", whole=whole)
        if method is None and response.status_code == _METHOD_NOT_ALLOWED:
            method = yield from self._listed_method(path)
            if method is not None:
                response = yield from self._request(call, path, method, whole=whole)
        return response

    def value(self, call: Call) -> Steps[Any]:
        """The value that the chute answers `call` with; of a stream, the list of its items."""
        response = yield from self.answer(call, whole=True)
        self.check(response)
        return value_of(response)

    def schema(self) -> Steps[dict[str, Any]]:
        """The chute's OpenAPI document, fetched once."""
        if self._schema is None:
            response = yield from self._get("/openapi.json", self._policy)
            self.check(response)
            schema = value_of(response)
            if not isinstance(schema, dict) or not isinstance(schema.get("paths"), dict):
                raise CallFailed(
                    f"{response.request.url} is not an OpenAPI document. Is this the address of a chute? "
                    "Call by path instead of by name, with method=.",
                    status=response.status_code,
                )
            self._schema = schema
        return self._schema

    def health(self) -> Steps[dict[str, Any]]:
        """The body of `/health`, whether the chute is well or not."""
        response = yield from self._get("/health", _ONCE)
        if response.status_code != _SERVICE_UNAVAILABLE:
            self.check(response)
        body = value_of(response)
        if not isinstance(body, dict):
            self.check(response)
            raise CallFailed(
                f"{response.request.url} answered no JSON object. Is this the address of a chute?"
            )
        return body

    def ready(self) -> Steps[bool]:
        """Whether the chute takes calls now."""
        try:
            response = yield from self._get("/readyz", _ONCE)
        except ConnectionFailed:
            return False
        if response.status_code == _SERVICE_UNAVAILABLE:
            return False
        self.check(response)
        return True

    def check(self, response: httpx2.Response) -> None:
        """Raise the error that an answer stands for."""
        check(response, self._clock.time())

    def _place(self, call: Call) -> Steps[tuple[str, str | None]]:
        if not call.by_path:
            schema = yield from self.schema()
            operation = find(schema, call.target, call.method)
            return operation.path, operation.method
        if call.method is None and self._schema is not None:
            return call.target, method_of(self._schema, call.target)
        return call.target, call.method

    def _listed_method(self, path: str) -> Steps[str | None]:
        try:
            schema = yield from self.schema()
        except CallError:
            # The 405 at hand tells the caller more than a document that cannot be had.
            return None
        return method_of(schema, path)

    def _get(self, path: str, policy: RetryPolicy) -> Steps[httpx2.Response]:
        request = self._build("GET", path, headers={"X-Request-ID": uuid.uuid4().hex})
        return (yield from self._attempts(request, policy, whole=True))

    def _request(self, call: Call, path: str, method: str, *, whole: bool) -> Steps[httpx2.Response]:
        with ExitStack() as files:
            parts = request_parts(call, path, method, files)
            headers = httpx2.Headers({**_identity(), **parts.pop("headers", {})})
            headers.update(dict(call.headers))
            request = self._build(method, headers=headers, **parts)
            return (yield from self._attempts(request, self._policy, whole=whole))

    def _attempts(
        self, request: httpx2.Request, policy: RetryPolicy, *, whole: bool
    ) -> Steps[httpx2.Response]:
        start = self._clock.monotonic()
        attempt = 0
        while True:
            progress = Progress()
            outcome = yield from self._attempt(request, progress, whole=whole)
            if not self._may_go_on(request, outcome, progress):
                break
            asked = (
                None
                if isinstance(outcome, httpx2.RequestError)
                else retry_after(outcome.headers, self._clock.time())
            )
            elapsed = self._clock.monotonic() - start
            wait = policy.delay(attempt=attempt, elapsed=elapsed, asked=asked)
            if wait is None:
                break
            yield Pause(seconds=wait)
            attempt += 1
        if isinstance(outcome, httpx2.RequestError):
            raise connection_error(outcome, request) from outcome
        return outcome

    def _attempt(
        self, request: httpx2.Request, progress: Progress, *, whole: bool
    ) -> Steps[httpx2.Response | httpx2.RequestError]:
        try:
            response: httpx2.Response = yield Send(request=request, whole=whole, progress=progress)
            if not whole and not response.is_success:
                yield Read(response=response)
        except httpx2.RequestError as exc:
            return exc
        return response

    def _may_go_on(
        self, request: httpx2.Request, outcome: httpx2.Response | httpx2.RequestError, progress: Progress
    ) -> bool:
        """Whether to send a request again can do no work twice."""
        repeatable = is_repeatable(request)
        if isinstance(outcome, httpx2.RequestError):
            return may_repeat(outcome, repeatable=repeatable, broke_in_head=progress.broke_in_head)
        return was_not_begun(outcome, repeatable=repeatable)


def _identity() -> dict[str, str]:
    """What the log of the chute will know the call by, and its traces where the caller makes some."""
    headers = {"X-Request-ID": uuid.uuid4().hex}
    # Where nobody has imported it, there is no trace to go on with.
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate

        propagate.inject(headers)
    return headers
