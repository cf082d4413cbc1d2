"""Jobs of chutes beside other engines on the same database: the tables, and the order in which samples are taken."""

import datetime as dt
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks import postgres
from benchmarks.environments import interpreter, version_of
from benchmarks.job_engines.measure import HELD
from benchmarks.job_samples import (
    ENGINES,
    STORES,
    Claim,
    Databases,
    Engine,
    JobSample,
    Rerun,
    claimed,
    measured,
    rerun,
)
from benchmarks.machine import describe
from benchmarks.samples import interleaved
from benchmarks.tables import table

__all__ = ["PARTS", "claims", "jobs", "rates", "reruns"]

PARTS = ("rates", "reruns", "claims")
_ROWS = (0, 1_000_000)

T = TypeVar("T")


def jobs(
    names: Sequence[str], parts: Sequence[str], *, rounds: int, seconds: float, cache: Path, folder: Path
) -> tuple[str, list[JobSample | Rerun | Claim]]:
    """Take the samples; returns the tables, and the samples.

    Args:
        names: engines that take part; all of them when empty.
        parts: of `PARTS`; all of them when empty.
        rounds: samples of each engine.
        seconds: length of a sample.
        cache: for the environments.
        folder: for databases.
    """
    engines = [one for one in ENGINES if not names or one.name in names]
    pythons = {one.environment: interpreter(one.environment, cache) for one in (*engines, ENGINES[0])}
    wanted = set(parts or PARTS)
    with postgres.server() as server:
        databases = Databases(folder, server)
        samples = [
            lambda one=one: measured(one, pythons[one.environment], databases, seconds=seconds)
            for one in interleaved(engines, rounds if "rates" in wanted else 0)
        ]
        kills = [
            lambda one=one, beside=beside: rerun(
                one, pythons[one.environment], databases, folder, beside=beside
            )
            for one in engines
            for beside in (False, True)
            if "reruns" in wanted and one.takes_over and (one.replicas or not beside)
        ]
        looks = [
            lambda store=store, rows=rows: claimed(store, rows, pythons[ENGINES[0].environment], databases)
            for store in STORES
            for rows in _ROWS
            if "claims" in wanted
        ]
        found = _taken(samples), _taken(kills), _taken(looks)
        preface = f"{dt.date.today()}, {describe()}; {_versions(engines)}, PostgreSQL {server.version}"
    tables = [*(rates(store, found[0]) for store in STORES), reruns(found[1]), claims(found[2])]
    return "\n\n".join([preface, *filter(None, tables)]), [*found[0], *found[1], *found[2]]


def _taken(samples: Iterable[Callable[[], T]]) -> list[T]:
    """What was measured; who fails is named, and left out."""
    found = []
    for sample in samples:
        try:
            found.append(sample())
        except (RuntimeError, ValueError) as error:
            print(f"No sample: {error}", file=sys.stderr)
        else:
            print(found[-1], file=sys.stderr)
    return found


def _versions(engines: Iterable[Engine]) -> str:
    return ", ".join(sorted({f"{one.package} {version_of(one.environment, one.package)}" for one in engines}))


def rates(store: str, samples: Iterable[JobSample]) -> str:
    """The table of one database; empty without a sample of it."""
    names = dict.fromkeys(one.name for one in ENGINES if one.store == store)
    by_name = {
        name: mine
        for name in names
        if (mine := [one for one in samples if (one.store, one.engine) == (store, name)])
    }
    if not by_name:
        return ""
    ours = statistics.median(one.runs for one in by_name["chutes"]) if "chutes" in by_name else None
    head = (
        store, "runs/s", "best", "chutes / it", "submits/s", "one by one", "start p50 ms", "p99 ms", "CPU ms/run",
        "others' load", "n",
    )  # fmt: skip
    return table(head, [_rates_of(name, mine, ours) for name, mine in by_name.items()])


def _rates_of(name: str, samples: Sequence[JobSample], ours: float | None) -> list[str]:
    figures = ("runs", "submits", "alone", "p50", "p99", "cpu")
    middle = {figure: statistics.median(getattr(one, figure) for one in samples) for figure in figures}
    return [
        name,
        f"{middle['runs']:,.0f}",
        f"{max(one.runs for one in samples):,.0f}",
        "" if ours is None else f"{ours / middle['runs']:.1f}",
        f"{middle['submits']:,.0f}",
        f"{middle['alone']:,.0f}",
        f"{middle['p50']:.1f}",
        f"{middle['p99']:.1f}",
        f"{middle['cpu']:.2f}",
        f"{max(one.foreign for one in samples):.2f}",
        str(len(samples)),
    ]


def reruns(found: Sequence[Rerun]) -> str:
    """The table of kills; empty without one."""
    if not found:
        return ""
    rows = [
        [
            f"{one.engine}, {one.store}",
            one.how,
            f"{one.again} of {HELD}",
            _seconds(one.first),
            _seconds(one.last),
        ]
        for one in found
    ]
    return table(("killed worker", "afterwards", "run again", "first s", "last s"), rows)


def claims(found: Sequence[Claim]) -> str:
    """The table of claims; empty without one."""
    if not found:
        return ""
    rows = [[one.store, f"{one.rows:,}", f"{one.p50:.2f}", f"{one.p99:.2f}"] for one in found]
    return table(("chutes on", "ended runs", "claim p50 ms", "p99 ms"), rows)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"
