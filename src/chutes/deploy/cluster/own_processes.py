"""Which processes of the machine belong to the cluster: a number that was used again for another is never among them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from chutes.deploy.cluster.state import StartedNode

__all__ = ["MARK", "end", "is_running", "members", "started_at"]

MARK = "CHUTES_CLUSTER"
"""The variable in the environment of every process of the cluster."""

_PROC = Path("/proc")
_PROC_STATE, _PROC_PARENT, _PROC_START = 0, 1, 19
_POLL_SECONDS = 0.1
_KILL_SECONDS = 20.0


def started_at(pid: int) -> str:
    """What the system says of the start of a process; empty when there is none, or it has ended."""
    if _PROC.is_dir() and (_PROC / "self").exists():
        fields = _stat(str(pid))
        return "" if fields is None or fields[_PROC_STATE] in "ZX" else f"{_boot()}:{fields[_PROC_START]}"
    told = _ps("-o", "stat=,lstart=", "-p", str(pid)).strip()
    return "" if told.startswith("Z") else told.partition(" ")[2].strip()


def is_running(node: StartedNode) -> bool:
    """Whether the process that holds the node is still that process."""
    return bool(node.started_at) and started_at(node.pid) == node.started_at


def members(mark: str, nodes: Iterable[StartedNode]) -> list[int]:
    """All processes of these nodes that live: those that were started for them, and what those started in turn.

    Args:
        mark: finds also those whose parents are gone, where the system shows the environment of processes; empty: only
            the descendants of the nodes' processes.
        nodes: whose processes are wanted.
    """
    roots = {node.pid for node in nodes if is_running(node)}
    table = _process_table()
    if mark:
        roots |= {pid for pid, _ in table if _has_mark(pid, mark)}
    roots.discard(os.getpid())
    return sorted(roots | set(_descendants(roots, table)))


def end(mark: str, nodes: Sequence[StartedNode], *, grace: float) -> int:
    """Ask the nodes to end, kill what is left of them after `grace` seconds, and return how many processes had to be killed."""
    _wait_for_end(mark, nodes, grace, signal.SIGTERM)
    killed = _send(members(mark, nodes), signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    while (left := members(mark, nodes)) and time.monotonic() < deadline:
        _send(left, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return killed


def _wait_for_end(mark: str, nodes: Sequence[StartedNode], grace: float, number: signal.Signals) -> None:
    # Those that hold the nodes end the others in the order that Ray wants.
    _send([node.pid for node in nodes if is_running(node)], number)
    deadline = time.monotonic() + grace
    while members(mark, nodes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _send(pids: Sequence[int], number: signal.Signals) -> int:
    sent = 0
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            sent += 1
    return sent


def _has_mark(pid: int, mark: str) -> bool:
    try:
        environ = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False  # ended, or another user's
    return f"{MARK}={mark}".encode() in environ.split(b"\0")


def _descendants(roots: Iterable[int], table: Iterable[tuple[int, int]]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in table:
        children.setdefault(parent, []).append(pid)
    found = [child for root in roots for child in children.get(root, ())]
    for pid in found:
        found += children.get(pid, ())
    return found


def _process_table() -> list[tuple[int, int]]:
    """Every process that lives, with its parent."""
    if not (_PROC / "self").exists():
        lines = (line.split() for line in _ps("-A", "-o", "pid=,ppid=,stat=").splitlines())
        return [(int(pid), int(parent)) for pid, parent, state in lines if not state.startswith("Z")]
    found = []
    for name in os.listdir(_PROC):  # noqa: PTH208 - names are all that is wanted
        fields = _stat(name) if name.isdigit() else None
        if fields is not None and fields[_PROC_STATE] not in "ZX":
            found.append((int(name), int(fields[_PROC_PARENT])))
    return found


def _stat(pid: str) -> list[str] | None:
    """The fields after the name of the program, which may hold spaces and parentheses of its own."""
    try:
        return (_PROC / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _boot() -> str:
    """Tells one start of the machine from another: the clock of processes begins with it."""
    try:
        return (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    except OSError:
        return ""


def _ps(*words: str) -> str:
    return subprocess.run(["/bin/ps", *words], capture_output=True, check=False, text=True).stdout  # noqa: S603 - words of ours
