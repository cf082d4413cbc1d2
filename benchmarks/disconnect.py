"""A client that leaves in the middle: what the server still does for it."""

import asyncio
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http_client import called, left
from benchmarks.lineup import SERVERS, Workload
from benchmarks.machine import cores
from benchmarks.servers.stress import STEP_SECONDS, STEPS
from benchmarks.serving import serving
from benchmarks.tables import table

__all__ = ["CASES", "Departure", "departed", "departures"]

CASES = ("chutes, stressed", "FastAPI, stressed", "Litestar, stressed")
_STAYS_SECONDS = 0.3
_WORKLOADS = (Workload(name="call", target="/call", body="{}"), Workload(name="stream", target="/stream"))
# The server is up when it can tell its progress.
_READY = Workload(name="progress", target="/progress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """One client that left.

    Attributes:
        server: its name.
        kind: "call" or "stream".
        steps: of the work, that began after the client had left.
        milliseconds: from then to the last of them.
    """

    server: str
    kind: str
    steps: int
    milliseconds: float


def departed(server: str, python: Path, *, clients: int, folder: Path) -> list[Departure]:
    """Start the server, and let clients leave it one after the other."""
    core, _ = cores()
    with serving(SERVERS[server], _READY, python, core=core, folder=folder) as served:
        return [
            asyncio.run(_leave(server, workload, served.port))
            for _ in range(clients)
            for workload in _WORKLOADS
        ]


async def _leave(server: str, workload: Workload, port: int) -> Departure:
    gone = await left(port, workload.target, workload.body, _STAYS_SECONDS)
    await asyncio.sleep(STEPS * STEP_SECONDS * 1.5)
    progress = json.loads((await called(port, _READY.target, None)).body)
    return departure(server, workload.name, progress["steps"], gone)


def departure(server: str, kind: str, steps: Sequence[float], gone: float) -> Departure:
    """What is said of the moments at which steps began.

    Raises:
        ValueError: the work had not begun when the client left.
    """
    if not steps or steps[0] > gone:
        raise ValueError("The client left before its work had begun.")
    return Departure(
        server=server,
        kind=kind,
        steps=sum(step > gone for step in steps),
        milliseconds=max(0.0, steps[-1] - gone) * 1e3,
    )


def departures(found: Iterable[Departure]) -> str:
    """The table: the median client, and the worst."""
    groups: dict[tuple[str, str], list[Departure]] = {}
    for one in found:
        groups.setdefault((one.kind, one.server), []).append(one)
    rows = [
        [
            f"{kind}: {server}", f"{statistics.median(one.steps for one in group):.0f}",
            str(max(one.steps for one in group)), f"{statistics.median(one.milliseconds for one in group):.0f}",
            f"{max(one.milliseconds for one in group):.0f}", str(len(group)),
        ]
        for (kind, server), group in groups.items()
    ]  # fmt: skip
    return table(["what the client left", "steps after", "most", "ms after", "most", "clients"], rows)
