"""What the machine does meanwhile: processor time and memory of a server's processes, and of everybody else's."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path

__all__ = ["busy_seconds", "cores", "cpu_seconds", "describe", "marked", "marked_words", "memory"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# user, nice, system, irq, softirq and steal of the first line of /proc/stat; idle and iowait are no work.
_BUSY = (1, 2, 3, 6, 7, 8)


def cores() -> tuple[int, int]:
    """The core of the server and that of the client.

    Raises:
        RuntimeError: there is only one.
    """
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2:  # noqa: PLR2004 - one each
        raise RuntimeError("The benchmarks need two cores: one for the server and one for the client.")
    return free[0], free[1]


def busy_seconds(text: str | None = None) -> float:
    """Processor seconds that were spent since the machine started, by everything on it."""
    first = (text if text is not None else (_PROC / "stat").read_text()).splitlines()[0].split()
    return sum(int(first[column]) for column in _BUSY) / _TICKS


def marked(mark: str) -> list[int]:
    """The processes whose environment holds `mark`: a server, and whatever it started, however it left its parent."""
    found = []
    for folder in _PROC.glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in environment:
            found.append(int(folder.name))
    return found


def marked_words(pid: int) -> tuple[list[str], dict[str, str]]:
    """The command line of a process, and its environment; both are empty when it has ended."""
    words = _read(pid, "cmdline").split("\0")
    pairs = (entry.partition("=") for entry in _read(pid, "environ").split("\0"))
    return words, {name: value for name, equals, value in pairs if equals}


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor seconds of the processes, and of those of their children that have ended."""
    return sum(_cpu_of(stat) for pid in pids if (stat := _read(pid, "stat")))


def _cpu_of(stat: str) -> float:
    # The name, in parentheses, may hold spaces: count from its end.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def memory(pids: Iterable[int]) -> tuple[float, float]:
    """Resident memory in MB, and the same with what is shared divided among those who share it."""
    resident = shared = 0
    for pid in pids:
        for line in _read(pid, "smaps_rollup").splitlines():
            name, _, rest = line.partition(":")
            resident += int(rest.split()[0]) if name == "Rss" else 0
            shared += int(rest.split()[0]) if name == "Pss" else 0
    return resident / 1024, shared / 1024


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text()
    except OSError:
        # It has ended.
        return ""


def describe() -> str:
    """One line about the machine."""
    models = [
        line.partition(":")[2].strip()
        for line in (_PROC / "cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores ({model}), {platform.system()} {platform.release()}"
