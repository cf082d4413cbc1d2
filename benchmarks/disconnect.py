"""A client that leaves in the middle: what the server still does for it."""

import asyncio
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.http_client import left
from benchmarks.lineup import SERVERS, STRESSED_PEERS, Server, Workload
from benchmarks.machine import cores
from benchmarks.servers.stress import STEP_SECONDS, STEPS
from benchmarks.serving import serving
from benchmarks.tables import table

__all__ = ["CASES", "Departure", "departed", "departures"]

CASES = tuple(f"{name}, stressed" for name in ("chutes", "FastAPI", "Litestar", *STRESSED_PEERS))
_STAYS_SECONDS = 0.3
_WORKLOADS = (Workload(name="call", target="/call", body="{}"), Workload(name="stream", target="/stream"))


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
    """Start the server for each kind of answer, and let clients leave it one after the other."""
    found: list[Departure] = []
    for workload in _WORKLOADS:
        try:
            found += _departed(server, workload, python, clients=clients, folder=folder)
        except (RuntimeError, ValueError) as error:
            print(f"No sample: {error}", file=sys.stderr)
    return found


def _departed(
    server: str, workload: Workload, python: Path, *, clients: int, folder: Path
) -> list[Departure]:
    core, _ = cores()
    progress = folder / "progress"
    plain = SERVERS[server]
    described = replace(plain, variables={**plain.variables, "PROGRESS": str(progress)})
    with serving(described, workload, python, core=core, folder=folder) as served:
        return [_leave(described, workload, served.port, progress) for _ in range(clients)]


def _leave(server: Server, workload: Workload, port: int, progress: Path) -> Departure:
    progress.write_text("")
    gone = asyncio.run(left(port, server.target(workload), server.body(workload), _STAYS_SECONDS))
    time.sleep(STEPS * STEP_SECONDS * 1.5)
    steps = [float(line) for line in progress.read_text().split()]
    return departure(server.name, workload.name, steps, gone)


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
