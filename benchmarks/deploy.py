"""What a deployment on one machine costs and loses: builds, starts, rolling updates, kills, and the front before containers."""

import datetime as dt
import shutil
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.deploy_chute import Cost, DeployedChute, Loss
from benchmarks.machine import describe
from benchmarks.tables import table

__all__ = ["PARTS", "costs", "deployments", "losses", "measured"]

PARTS = ("build", "start", "update", "kill", "front")


def deployments(
    parts: Sequence[str], *, rounds: int, seconds: float, folder: Path
) -> tuple[str, list[Cost | Loss]]:
    """Take the samples; returns the tables, and the samples. The parameters are those of `measured`."""
    found = measured(parts, rounds=rounds, seconds=seconds, folder=folder)
    tables = [
        costs(one for one in found if isinstance(one, Cost)),
        losses([one for one in found if isinstance(one, Loss)]),
    ]
    preface = f"Deployments by podman\n\n{dt.date.today()}, {describe()}"
    return "\n\n".join([preface, *filter(None, tables)]), found


def measured(parts: Sequence[str], *, rounds: int, seconds: float, folder: Path) -> list[Cost | Loss]:
    """Build, start, replace and kill a chute.

    Args:
        parts: of `PARTS`; all of them when empty.
        rounds: samples of what is timed.
        seconds: how long the load of a rolling update and of kills lasts, at least.
        folder: for the chute and its home.

    Raises:
        RuntimeError: podman is missing, or something did not work.
    """
    if shutil.which("podman") is None:
        raise RuntimeError("podman is missing. On Debian and Ubuntu: apt-get install podman.")
    wanted = set(parts or PARTS)
    with DeployedChute.made(folder) as chute:
        found: list[Cost | Loss] = [*chute.builds(rounds if "build" in wanted else 1)]
        for _ in range(rounds if "start" in wanted else 0):
            found += [chute.container_start(), chute.bare_start()]
        if wanted & {"update", "kill", "front"}:
            chute.change(instances=1)
            found += chute.front(rounds) if "front" in wanted else []
            found += chute.update(seconds) if "update" in wanted else []
            found += chute.kill(seconds) if "kill" in wanted else []
    return found


def costs(found: Iterable[Cost]) -> str:
    """The table of times; empty without one."""
    groups: dict[str, list[Cost]] = {}
    for one in found:
        groups.setdefault(one.what, []).append(one)
    if not groups:
        return ""
    rows = [
        [
            what,
            f"{statistics.median(one.seconds for one in group):.2f}",
            f"{min(one.seconds for one in group):.2f}",
            f"{max(one.busy for one in group):.2f}",
            str(len(group)),
        ]
        for what, group in groups.items()
    ]
    return table(["", "median s", "quickest s", "busy cores", "n"], rows)


def losses(found: Sequence[Loss]) -> str:
    """The table of lost calls; empty without one."""
    if not found:
        return ""
    rows = [
        [
            f"{one.event}: {one.client}",
            f"{one.calls:,}",
            str(one.failed),
            str(one.not_begun),
            str(one.twice),
        ]
        for one in found
    ]
    return table(["50 calls a second each", "calls", "failed", "of these not begun", "begun twice"], rows)
