"""From the start of the process to the first answer, idle memory, and what an import costs."""

import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparisons import COMPARISONS
from benchmarks.lineup import SERVERS
from benchmarks.machine import cores
from benchmarks.serving import serving
from benchmarks.tables import table

__all__ = ["IMPORTS", "Start", "imported", "imports", "started", "starts"]

_IDLE_SECONDS = 1.0
# What a file that defines a chute imports, beside what files for others import.
IMPORTS = {
    "chutes.chute": "chutes",
    "fastapi": "chutes",
    "litestar": "litestar",
    "mosec": "mosec",
    "litserve": "litserve",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of a server.

    Attributes:
        server: its name.
        seconds: until its first answer.
        cpu: processor seconds until then, of all its processes.
        resident: MB, a second later.
        proportional: MB, with what is shared divided among those who share it.
        processes: how many.
        foreign: cores that others used until its first answer.
    """

    server: str
    seconds: float
    cpu: float
    resident: float
    proportional: float
    processes: int
    foreign: float


def started(server: str, python: Path, folder: Path) -> Start:
    """Start a server alone on a core, wait for its first answer, and let it idle."""
    (workload,) = (one for one in COMPARISONS["echo"].workloads if one.name == "model")
    core, _ = cores()
    with serving(SERVERS[server], workload, python, core=core, folder=folder) as served:
        time.sleep(_IDLE_SECONDS)
        resident, proportional = served.memory()
        return Start(
            server=server, seconds=served.start_seconds, cpu=served.start_cpu, resident=resident, proportional=proportional,
            processes=len(served.pids()), foreign=served.start_foreign,
        )  # fmt: skip


def imported(module: str, python: Path, folder: Path) -> float:
    """Milliseconds that one import takes in a new interpreter, which itself does not count."""
    program = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e3)"
    core, _ = cores()
    command = ["taskset", "-c", str(core), str(python), "-c", program]
    return float(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def starts(found: Iterable[Start]) -> str:
    """The table of starts: medians, and the quickest."""
    groups: dict[str, list[Start]] = {}
    for one in found:
        groups.setdefault(one.server, []).append(one)
    rows = [[name, *_cells(group)] for name, group in groups.items()]
    return table(
        [
            "server",
            "first answer s",
            "quickest s",
            "CPU s",
            "RSS MB",
            "PSS MB",
            "processes",
            "others' load",
            "n",
        ],
        rows,
    )


def _cells(group: Sequence[Start]) -> list[str]:
    def median(name: str) -> float:
        return statistics.median(getattr(one, name) for one in group)

    return [
        f"{median('seconds'):.2f}", f"{min(one.seconds for one in group):.2f}", f"{min(one.cpu for one in group):.2f}",
        f"{median('resident'):.0f}", f"{median('proportional'):.0f}", f"{median('processes'):.0f}",
        f"{max(one.foreign for one in group):.2f}", str(len(group)),
    ]  # fmt: skip


def imports(found: Mapping[str, Sequence[float]]) -> str:
    """The table of imports: the least disturbed is the quickest."""
    rows = [
        [f"`import {name}`", f"{min(times):.0f}", f"{statistics.median(times):.0f}"]
        for name, times in found.items()
    ]
    return table(["", "quickest ms", "median ms"], rows)
