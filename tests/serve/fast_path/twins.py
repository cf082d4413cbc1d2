"""One definition served with the short way and without it, and the comparison of what they do."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel

from chutes.chute import Chute
from chutes.chute.chute import definition_of
from serve.fast_path.asgi import Answer, Call, drive
from support.serving import new_chute


class Side:
    """The chute, and all that its functions and its middleware saw of one call."""

    def __init__(
        self,
        define: Callable[[Chute], object],
        *,
        short: bool,
        around: Callable[[Chute], Any],
        **options: Any,
    ) -> None:
        self.chute = new_chute(**options)
        self.chute.seen = self.seen = []
        with _fast_path("on" if short else "off"):
            define(self.chute)
            self.app = self.chute.app
        self.served = definition_of(self.chute).running
        self.outermost = around(self.chute)

    def counts(self) -> dict[str, Any]:
        """The numbers of every cord, and of the queue."""
        meters = {
            name: (dict(one.requests), one.refused, one.cancelled, sum(one.durations.counts))
            for name, one in self.served.meters._meters.items()
        }
        admission = self.served.admission
        queue = (admission.running, admission.admitted, admission.refused)
        return {"meters": meters, "running, admitted, refused": queue}


@dataclass(frozen=True)
class Outcome:
    """What one side made of a call, as far as both must agree."""

    messages: list[dict[str, Any]]
    error: str
    seen: list[Any]
    counts: dict[str, Any]
    route: dict[str, Any]


class Twins:
    """The two sides; `compare` calls both.

    Args:
        define: gives a chute its cords.
        around: the application that requests go to, made from the chute; by default the chute itself.
        **options: of the chute.
    """

    def __init__(
        self,
        define: Callable[[Chute], object],
        *,
        around: Callable[[Chute], Any] = lambda chute: chute,
        **options: Any,
    ) -> None:
        self.short = Side(define, short=True, around=around, **options)
        self.long = Side(define, short=False, around=around, **options)

    async def compare(self, call: Call, short: bool | None = None) -> Answer:
        """The answer of the side with the short way, once both have agreed.

        Args:
            call: the request.
            short: whether the short way must have answered; None when it does not matter.
        """
        answer, outcome = await _outcome(self.short, call)
        _, expected = await _outcome(self.long, call)
        assert outcome == expected, _differences(call, outcome, expected)
        assert outcome.counts["running, admitted, refused"][:2] == (0, 0), "A slot was not given back."
        assert short is None or answer.short is short, (
            f"The short way: {answer.short}, not {short}.\n{call}\n{answer}"
        )
        return answer


@contextlib.asynccontextmanager
async def twins(define: Callable[[Chute], object], **options: Any) -> AsyncIterator[Twins]:
    """Both sides, started."""
    made = Twins(define, **options)
    sides = (made.short, made.long)
    for side in sides:
        await side.served.lifecycle.start()
    # To write thousands of tracebacks takes longer than to make them.
    logging.disable(logging.CRITICAL)
    try:
        yield made
    finally:
        logging.disable(logging.NOTSET)
        for side in sides:
            await side.served.lifecycle.stop()


def shown(value: Any) -> Any:
    """A value as text that tells 1 from True and from 1.0, and a model's given fields from its defaults."""
    given = sorted(value.model_fields_set) if isinstance(value, BaseModel) else None
    return f"{type(value).__module__}.{type(value).__qualname__}", repr(value), given


def _differences(call: Call, outcome: Outcome, expected: Outcome) -> str:
    lines = [str(call)]
    for one in fields(Outcome):
        ours, theirs = getattr(outcome, one.name), getattr(expected, one.name)
        if ours != theirs:
            lines += [f"{one.name}:", f"  short way: {ours}", f"  long way:  {theirs}"]
    return "\n".join(lines)


async def _outcome(side: Side, call: Call) -> tuple[Answer, Outcome]:
    side.seen.clear()
    answer = await drive(side.outermost, call)
    error = f"{type(answer.error).__name__}: {answer.error}" if answer.error is not None else ""
    route = answer.route | {
        "endpoint": getattr(answer.route["endpoint"], "__name__", None),
        "route": getattr(answer.route["route"], "path", None),
        "router": answer.route["router"] is side.app.router,
    }
    outcome = Outcome(_without_id(call, answer.messages), error, list(side.seen), side.counts(), route)
    return answer, outcome


def _without_id(call: Call, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without the request's id where each side had to make one up."""
    made_up = {
        value for message in messages for name, value in message.get("headers", ()) if name == b"x-request-id"
    }
    made_up -= {value for _, value in call.headers}
    cleaned = []
    for message in messages:
        kept = dict(message)
        if "headers" in kept:
            kept["headers"] = [(name, b"-" if value in made_up else value) for name, value in kept["headers"]]
        for one in made_up:
            kept["body"] = kept.get("body", b"").replace(one, b"-")
        cleaned.append(kept)
    return cleaned


@contextlib.contextmanager
def _fast_path(value: str) -> Iterator[None]:
    former = os.environ.get("CHUTES_FAST_PATH")
    os.environ["CHUTES_FAST_PATH"] = value
    try:
        yield
    finally:
        if former is None:
            del os.environ["CHUTES_FAST_PATH"]
        else:
            os.environ["CHUTES_FAST_PATH"] = former
