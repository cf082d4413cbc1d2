"""The tables of servers under load: who takes part in which, and what each table shows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.forms import FORMS
from benchmarks.lineup import SERVERS, Workload
from benchmarks.load import load
from benchmarks.machine import cores
from benchmarks.samples import Sample, Summary, summary
from benchmarks.serving import Served, Watch, serving
from benchmarks.tables import table

__all__ = ["COMPARISONS", "Comparison", "Entry", "compared", "take"]

_WARM_UP_SECONDS = 1.0
# A server that needs longer for one answer than the others have for all of theirs gets so many times their seconds.
_SLOWER = 4
_PROMPT = FORMS["model"].body.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One table.

    Attributes:
        title: what it shows.
        workloads: what is asked; each has lines of its own.
        servers: names of those who take part.
        limited_to: which workloads the others take part in; chutes, FastAPI and raw ASGI take part in all.
        ceiling: answers a second that no server can exceed; the table shows the share of it that was reached.
        unit: what a part of an answer is called.
    """

    title: str
    workloads: tuple[Workload, ...]
    servers: tuple[str, ...]
    limited_to: str | None = None
    ceiling: float | None = None
    unit: str = "request"

    def entries(self, only: Sequence[str] = ()) -> list["Entry"]:
        """Every server with each of its workloads."""
        return [
            Entry(server, workload)
            for workload in self.workloads
            for server in self.servers
            if (not only or server in only) and self._takes_part(server, workload)
        ]

    def _takes_part(self, server: str, workload: Workload) -> bool:
        return self.limited_to in (None, workload.name) or server in _THREE


@dataclass(frozen=True, slots=True)
class Entry:
    """One server under one load."""

    server: str
    workload: Workload


_THREE = ("raw ASGI", "chutes", "FastAPI")
_OTHERS = ("Litestar", "Robyn", "mosec", "BentoML", "LitServe", "Ray Serve")
_SLEEP = Workload(name="sleep", target="/sleep", body="{}", connections=64)
_BATCH = Workload(name="batch", target="/batch", body='{"x":1.5}', connections=64)
_STREAM = Workload(name="stream", target="/stream", connections=16, parts=200)

COMPARISONS = {
    "echo": Comparison(
        title="Echo of a small JSON body, 32 connections",
        workloads=tuple(
            Workload(name=form.name, target=form.target, body=form.body.decode() or None)
            for form in FORMS.values()
            if form.chunks == 1
        ),
        servers=(*_THREE, *_OTHERS),
        limited_to="model",
    ),
    "routes": Comparison(
        title="The same echo behind 50 other routes, 32 connections",
        workloads=(Workload(name="model", target="/model", body=_PROMPT),),
        servers=("chutes", "chutes, 50 routes", "FastAPI", "FastAPI, 50 routes"),
    ),
    "concurrency": Comparison(
        title="64 connections, each answer after 10 ms of waiting",
        workloads=(_SLEEP,),
        servers=(*_THREE, *(name for name in _OTHERS if name != "mosec")),
        ceiling=6400.0,
    ),
    "batching": Comparison(
        title="Dynamic batching: a model of 5 ms and 0.1 ms an item, at most 16 items, 64 connections",
        workloads=(_BATCH,),
        servers=("chutes, one batch", "mosec", "LitServe", "BentoML", "Ray Serve"),
        ceiling=16 / 0.0066,
    ),
    "streaming": Comparison(
        title="Server-sent events, 200 tokens an answer, 16 connections",
        workloads=(_STREAM,),
        servers=(
            "raw ASGI",
            "chutes",
            "FastAPI",
            "FastAPI, by hand",
            "Litestar",
            "Robyn",
            "mosec",
            "BentoML",
            "LitServe",
            "Ray Serve",
        ),
        unit="token",
    ),
    "passthrough": Comparison(
        title="Calls forwarded to a server on the clients' core: a small JSON body, and events, 200 tokens an answer",
        workloads=(Workload(name="model", target="/model", body=_PROMPT, connections=16), _STREAM),
        servers=("raw proxy", "raw proxy, httpx2", "chutes, passthrough"),
        unit="part",
    ),
}


class _NoAnswerError(RuntimeError):
    """A server had no whole answer in a sample."""


def take(entry: Entry, python: Path, *, seconds: float, folder: Path) -> Sample:
    """Start the server, load it, and end it.

    Raises:
        RuntimeError: the server did not start, or gave no good answer.
    """
    server, workload = SERVERS[entry.server], entry.workload
    server_core, client_core = cores()

    def run(served: Served, duration: float) -> Sample:
        watch = Watch(served)
        seen = load(
            served.port, server.target(workload), server.body(workload),
            connections=workload.connections, seconds=duration, core=client_core, folder=folder,
        )  # fmt: skip
        cpu, foreign = watch.read(served)
        parts = seen.requests * workload.parts
        if not parts:
            raise _NoAnswerError(f"{entry.server} gave no good answer to {workload.name} in {duration:g} s.")
        return Sample(
            server=entry.server, workload=workload.name, rate=seen.rate * workload.parts, cpu=cpu / parts * 1e6,
            p50=seen.p50, p99=seen.p99, failed=seen.failed, foreign=foreign,
        )  # fmt: skip

    with serving(server, workload, python, core=server_core, folder=folder) as served:
        try:
            run(served, _WARM_UP_SECONDS)
            return run(served, seconds)
        except _NoAnswerError:
            return run(served, _SLOWER * seconds)


def compared(comparison: Comparison, samples: Iterable[Sample]) -> str:
    """The table of the samples, in the order of the comparison."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.workload, sample.server), []).append(sample)
    sums = {key: summary(group) for key, group in groups.items()}
    several = len(comparison.workloads) > 1
    rows = [
        [_label(entry, several=several), *_cells(comparison, entry, sums)]
        for entry in comparison.entries()
        if (entry.workload.name, entry.server) in sums
    ]
    return table(_head(comparison), rows)


def _label(entry: Entry, *, several: bool) -> str:
    return f"{FORMS[entry.workload.name].title}: {entry.server}" if several else entry.server


def _head(comparison: Comparison) -> list[str]:
    unit = comparison.unit
    shares = [f"of {name}" for name in _limits(comparison)] + (
        ["of the ceiling"] if comparison.ceiling else []
    )
    return [
        "server", f"{unit}s/s", "best", *shares, f"CPU µs/{unit}", "least", "p50 ms", "p99 ms", "failed", "others' load", "n",
    ]  # fmt: skip


def _cells(comparison: Comparison, entry: Entry, sums: Mapping[tuple[str, str], Summary]) -> list[str]:
    one = sums[entry.workload.name, entry.server]
    shares = [_share(one, sums.get((entry.workload.name, other))) for other in _limits(comparison)]
    if comparison.ceiling:
        shares.append(f"{one.rate / comparison.ceiling:.3f}")
    return [
        f"{one.rate:,.0f}", f"{one.best_rate:,.0f}", *shares, f"{one.cpu:,.1f}", f"{one.least_cpu:,.1f}",
        f"{one.p50:.2f}", f"{one.p99:.2f}", str(one.failed), f"{one.foreign:.2f}", str(one.count),
    ]  # fmt: skip


def _limits(comparison: Comparison) -> list[str]:
    """Those who take part and are what the others are measured by."""
    return [name for name in ("raw ASGI", "raw proxy", "FastAPI") if name in comparison.servers]


def _share(one: Summary, other: Summary | None) -> str:
    return f"{one.rate / other.rate:.2f}" if other is not None and other.rate else ""
