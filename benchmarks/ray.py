"""Chutes on a Ray cluster beside Ray Serve applications by hand: requests, rolling updates, starts from zero, more replicas."""

import datetime as dt
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from benchmarks.deploy import costs
from benchmarks.deploy_chute import Cost, timed
from benchmarks.deploy_load import Calls
from benchmarks.deploy_load import load as steady_load
from benchmarks.forms import FORMS
from benchmarks.lineup import Workload
from benchmarks.load import load
from benchmarks.machine import cores, describe
from benchmarks.ray_cluster import BY_HAND, SIDES, RayCluster, ray_cluster, wait_until
from benchmarks.samples import Sample, interleaved, summary
from benchmarks.serving import Watch
from benchmarks.tables import table
from chutes.errors import ChutesError

__all__ = ["PARTS", "PROXIES", "Update", "chosen", "on_ray", "rates", "update_of", "updates"]

PROXIES = {"proxy": "Ray's proxy", "haproxy": "HAProxy"}
PARTS = ("load", "update", "cold", "scale")
_KINDS = ("kept connections", "new connections")
_CALLS_A_SECOND = 20
_QUIET_SECONDS = 3.0
_CALL_SECONDS = 120.0
_WARM_UP_SECONDS = 1.0
_MOST = 3
_PROMPT = FORMS["model"].body.decode()
_WORKS = (
    Workload(name="echo, 1 client", target="/model", body=_PROMPT, connections=1),
    Workload(name="echo, 32 clients", target="/model", body=_PROMPT),
    Workload(name="tokens, 16 clients", target="/stream", connections=16, parts=200),
    Workload(name="batch, 64 clients", target="/batch", body='{"x":1.5}', connections=64),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one kind of client met while all replicas were replaced.

    Attributes:
        proxy: before the replicas.
        side: chutes, or by hand.
        client: the kind.
        calls: in all.
        failed: without an answer 200.
        new: answers of a new version.
        reasons: of the failures, each once.
    """

    proxy: str
    side: str
    client: str
    calls: int
    failed: int
    new: int
    reasons: tuple[str, ...]


Found = Sample | Update | Cost


def on_ray(
    words: Sequence[str], *, rounds: int, seconds: float, folder: Path
) -> tuple[str, list[Sample | Update | Cost]]:
    """Take the samples; returns the tables, and the samples.

    Args:
        words: of `PROXIES` and `PARTS`; without one, Ray's own proxy, and all parts.
        rounds: samples of each figure, and rolling updates under one load.
        seconds: length of a sample of requests.
        folder: for the clusters.

    Raises:
        ValueError: a word is none of those.
    """
    proxies, parts = chosen(words)
    found: list[Found] = []
    versions = set[str]()
    for proxy in proxies:

        def on_one(proxy: str = proxy) -> None:
            with ray_cluster(folder, haproxy=proxy == "haproxy") as cluster:
                versions.add(f"Ray {cluster.ray_version}")
                trials = _Trials(cluster, PROXIES[proxy], folder, found)
                for part in parts:
                    trials.take(part, rounds, seconds)

        _tried(on_one)
    tables = [
        rates([one for one in found if isinstance(one, Sample)]),
        updates([one for one in found if isinstance(one, Update)]),
        costs(one for one in found if isinstance(one, Cost)),
    ]
    preface = f"On a Ray cluster of one node\n\n{', '.join([str(dt.date.today()), describe(), *versions])}"
    return "\n\n".join([preface, *filter(None, tables)]), found


def chosen(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The proxies and the parts that these words name.

    Raises:
        ValueError: a word names neither.
    """
    unknown = [word for word in words if word not in (*PROXIES, *PARTS)]
    if unknown:
        raise ValueError(f"No part {unknown[0]!r}. Write one of {', '.join((*PROXIES, *PARTS))}.")
    proxies = [one for one in PROXIES if one in words]
    parts = [one for one in PARTS if one in words]
    return proxies or ["proxy"], parts or list(PARTS)


class _Trials:
    """What is tried on one cluster; a trial that fails is named, and the others go on."""

    def __init__(self, cluster: RayCluster, proxy: str, folder: Path, found: list[Found]) -> None:
        self._cluster = cluster
        self._proxy = proxy
        self._folder = folder
        self._found = found

    def take(self, part: str, rounds: int, seconds: float) -> None:
        if part == "load":
            _tried(lambda: self._load(rounds, seconds))
        elif part == "update":
            for side in SIDES:
                _tried(lambda side=side: self._update(side, rounds))
        elif part == "cold":
            _tried(lambda: self._cold(rounds))
        else:
            for side in SIDES:
                _tried(lambda side=side: self._scale(side, rounds))
        if part != "cold":
            # What is scaled is what started from zero.
            _tried(self._cluster.clear)

    def _note(self, sample: Found) -> None:
        self._found.append(sample)
        print(sample, file=sys.stderr)

    def _load(self, rounds: int, seconds: float) -> None:
        """Each work from both sides, in turns: all of them stand on the cluster from the first to the last."""
        for name in ("echo", "batch"):
            for side in SIDES:
                self._cluster.deploy(name, side, instances=1)
        for work, side in interleaved([(work, side) for work in _WORKS for side in SIDES], rounds):
            _tried(lambda work=work, side=side: self._note(self._sample(work, side, seconds)))

    def _sample(self, work: Workload, side: str, seconds: float) -> Sample:
        name = "batch" if work.target == "/batch" else "echo"

        def run(duration: float) -> tuple[Sample, int]:
            watch = Watch(self._cluster)
            seen = load(
                self._cluster.port, self._cluster.path(name, side) + work.target, work.body,
                connections=work.connections, seconds=duration, core=cores()[1], folder=self._folder,
                host=self._cluster.host,
            )  # fmt: skip
            cpu, foreign = watch.read(self._cluster)
            parts = seen.requests * work.parts
            sample = Sample(
                server=side, workload=f"{self._proxy}, {work.name}", rate=seen.rate * work.parts,
                cpu=cpu / max(parts, 1) * 1e6, p50=seen.p50, p99=seen.p99, failed=seen.failed, foreign=foreign,
            )  # fmt: skip
            return sample, parts

        run(_WARM_UP_SECONDS)
        sample, parts = run(seconds)
        if not parts:
            raise RuntimeError(f"{side} gave no good answer to {work.name} in {seconds:g} s.")
        return sample

    def _update(self, side: str, rounds: int) -> None:
        """Replace both replicas as often as there are rounds, under one load."""
        self._cluster.deploy("update", side, instances=2)
        url = self._cluster.url("update", side)
        with steady_load(url, _KINDS, _CALLS_A_SECOND) as calls:
            time.sleep(_QUIET_SECONDS)
            for number in range(rounds):
                self._cluster.deploy("update", side, instances=2, version=number + 2)
                time.sleep(_QUIET_SECONDS)
        for kind in _KINDS:
            self._note(update_of(self._proxy, side, kind, calls[kind]))

    def _cold(self, rounds: int) -> None:
        """The first call of an application that has no replica, until its answer."""
        for side in SIDES:
            self._cluster.deploy("scale", side)
        for side in interleaved(SIDES, rounds):
            wait_until(
                lambda side=side: not self._cluster.replicas("scale", side), f"{side} has no replica left"
            )
            url = f"{self._cluster.url('scale', side)}/call"
            self._note(timed(f"{self._proxy}, start from zero: {side}", lambda url=url: _call(url)))

    def _scale(self, side: str, rounds: int) -> None:
        """From the first call of ten clients, of which one replica cannot serve all, until three replicas run."""
        self._cluster.deploy("scale", side, least=1)
        for _ in range(rounds):
            wait_until(
                lambda: self._cluster.replicas("scale", side) == Counter(RUNNING=1), f"{side} has one replica"
            )
            what = f"{self._proxy}, 1 to {_MOST} replicas: {side}"
            url = self._cluster.url("scale", side)
            with steady_load(url, _KINDS[:1], per_second=1000):
                self._note(timed(what, lambda: self._wait_for_most(side)))

    def _wait_for_most(self, side: str) -> None:
        wait_until(
            lambda: self._cluster.replicas("scale", side)["RUNNING"] == _MOST, f"{side} has {_MOST} replicas"
        )


def _tried(trial: Callable[[], None]) -> None:
    """Do it, and say what failed: what was measured before is kept."""
    try:
        trial()
    except (RuntimeError, ValueError, OSError, httpx2.HTTPError, ChutesError) as error:
        print(f"No sample: {error}", file=sys.stderr)


def _call(url: str) -> None:
    with httpx2.Client(timeout=_CALL_SECONDS, trust_env=False) as client:
        client.post(url, json={"id": "first"}).raise_for_status()


def update_of(proxy: str, side: str, client: str, calls: Calls) -> Update:
    """What one kind of client met; the first version answers 1."""
    return Update(
        proxy=proxy,
        side=side,
        client=client,
        calls=len(calls.answered) + len(calls.failed),
        failed=len(calls.failed),
        new=sum(1 for version in calls.answered.values() if version != "1"),
        reasons=tuple(sorted(set(calls.failed.values()))),
    )


def rates(samples: Iterable[Sample]) -> str:
    """The table of requests; empty without a sample."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.workload, sample.server), []).append(sample)
    if not groups:
        return ""
    rows = []
    for work in dict.fromkeys(work for work, _ in groups):
        other = groups.get((work, BY_HAND))
        rows += [_rate(work, side, groups[work, side], other) for side in SIDES if (work, side) in groups]
    head = [
        "proxy, work: by whom", "a second", "best", f"of {BY_HAND}", "CPU µs each", "p50 ms", "p99 ms", "failed",
        "others' load", "n",
    ]  # fmt: skip
    return table(head, rows)


def _rate(work: str, side: str, samples: Sequence[Sample], other: Sequence[Sample] | None) -> list[str]:
    one = summary(samples)
    share = "" if other is None else f"{one.rate / statistics.median(sample.rate for sample in other):.2f}"
    return [
        f"{work}: {side}", f"{one.rate:,.0f}", f"{one.best_rate:,.0f}", share, f"{one.cpu:,.0f}", f"{one.p50:.2f}",
        f"{one.p99:.2f}", str(one.failed), f"{one.foreign:.2f}", str(one.count),
    ]  # fmt: skip


def updates(found: Sequence[Update]) -> str:
    """The table of rolling updates; empty without one."""
    if not found:
        return ""
    rows = [
        [f"{one.proxy}, {one.side}: {one.client}", f"{one.calls:,}", f"{one.new:,}", str(one.failed)]
        for one in found
    ]
    return table(["two replicas replaced", "calls", "answered by new ones", "failed"], rows)
