"""Twice as many calls as a server can answer: how many are answered, how late, and what the others are told."""

import asyncio
import json
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.http_client import Answer, called
from benchmarks.lineup import SERVERS, Server, Workload
from benchmarks.machine import cores
from benchmarks.servers.stress import SLOTS, WORK_SECONDS
from benchmarks.serving import Watch, serving
from benchmarks.tables import table

__all__ = ["CAPACITY", "CASES", "Overload", "judged", "overloaded", "overloads"]

CAPACITY = SLOTS / WORK_SECONDS
"""Answers a second that the work allows."""

# The servers, and the calls that may wait with those that can be told.
CASES = (
    ("chutes, stressed", 240),
    ("chutes, stressed", 480),
    ("chutes, stressed", 960),
    ("FastAPI, stressed", None),
    ("Litestar, stressed", None),
    ("Robyn, stressed", None),
    ("LitServe, stressed", None),
    ("mosec, stressed", 480),
    ("BentoML, stressed", 480),
    ("Ray Serve, stressed", 480),
)
_OK = 200
# mosec and BentoML refuse with the second one.
_BUSY = (503, 429)
_WORKLOAD = Workload(name="work", target="/work", body="{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """A server under twice its capacity.

    Attributes:
        server: its name.
        queue: calls that may wait; None when it cannot be told.
        sent: calls.
        answered: with success, in all.
        goodput: answers with success a second while calls came.
        refused: calls that were told to come again.
        failed: all others.
        p50: seconds of an answer with success.
        p99: likewise.
        waits: for each refusal, what it was told as a share of how long those before it took to begin.
        foreign: cores that were busy with others.
    """

    server: str
    queue: int | None
    sent: int
    answered: int
    goodput: float
    refused: int
    failed: int
    p50: float
    p99: float
    waits: tuple[float, ...] = field(repr=False)
    foreign: float


def overloaded(server: str, queue: int | None, python: Path, *, seconds: float, folder: Path) -> Overload:
    """Start the server, and send twice what it can answer for some seconds, evenly at random."""
    core, _ = cores()
    plain = SERVERS[server]
    described = plain if queue is None else replace(plain, variables={**plain.variables, "QUEUE": str(queue)})
    with serving(described, _WORKLOAD, python, core=core, folder=folder) as served:
        watch = Watch(served)
        began, answers = asyncio.run(_send(plain, served.port, seconds))
        _, foreign = watch.read(served)
    return judged(server, queue, answers, began=began, seconds=seconds, foreign=foreign)


async def _send(server: Server, port: int, seconds: float) -> tuple[float, list[Answer]]:
    target, body = server.target(_WORKLOAD), server.body(_WORKLOAD)
    gaps = random.Random(1)
    loop = asyncio.get_running_loop()
    began = due = loop.time()
    calls: list[asyncio.Task[Answer]] = []
    while due < began + seconds:
        await asyncio.sleep(due - loop.time())
        calls.append(asyncio.create_task(called(port, target, body)))
        due += gaps.expovariate(2 * CAPACITY)
    return began, list(await asyncio.gather(*calls))


def judged(
    server: str, queue: int | None, answers: Sequence[Answer], *, began: float, seconds: float, foreign: float
) -> Overload:
    """What is said of the answers."""
    good = [one for one in answers if one.status == _OK]
    busy = [one for one in answers if one.status in _BUSY]
    times = sorted(one.seconds for one in good)
    return Overload(
        server=server,
        queue=queue,
        sent=len(answers),
        answered=len(good),
        goodput=sum(one.ended <= began + seconds for one in good) / seconds,
        refused=len(busy),
        failed=len(answers) - len(good) - len(busy),
        p50=statistics.median(times),
        p99=times[int(len(times) * 0.99)],
        waits=tuple(_told(good, busy)),
        foreign=foreign,
    )


def _told(good: Sequence[Answer], busy: Sequence[Answer]) -> Iterable[float]:
    """What each refusal was told, by the wait that a call in its place would have had."""
    told = [one for one in busy if "retry-after" in one.headers]
    begun = [(one.sent, float(json.loads(one.body)["began"])) for one in good] if told else []
    for refused in told:
        before = [began for sent, began in begun if sent <= refused.sent]
        wait = max(before, default=0.0) - refused.sent
        if wait > 0:
            yield float(refused.headers["retry-after"]) / wait


def overloads(found: Iterable[Overload]) -> str:
    """The table."""
    head = [
        "server", "may wait", "sent", "answered", "goodput/s", "of capacity", "refused", "failed", "p50 s", "p99 s",
        "Retry-After by true wait", "within 50 %", "others' load",
    ]  # fmt: skip
    return table(head, [_cells(one) for one in found])


def _cells(one: Overload) -> list[str]:
    waits = sorted(one.waits)
    untold = "none told" if one.refused else ""
    spread = f"{waits[0]:.2f} to {waits[-1]:.2f}, median {statistics.median(waits):.2f}" if waits else untold
    within = f"{sum(0.5 <= wait <= 1.5 for wait in waits)} of {one.refused}" if one.refused else ""  # noqa: PLR2004
    return [
        one.server, "any number" if one.queue is None else str(one.queue), str(one.sent), str(one.answered),
        f"{one.goodput:.0f}", f"{one.goodput / CAPACITY:.2f}", str(one.refused), str(one.failed),
        f"{one.p50:.2f}", f"{one.p99:.2f}", spread, within, f"{one.foreign:.2f}",
    ]  # fmt: skip
