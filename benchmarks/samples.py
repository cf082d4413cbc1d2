"""Samples, their order, and what is said of several of the same."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["BUSY", "Sample", "Summary", "interleaved", "least_disturbed", "summary"]

T = TypeVar("T")

BUSY = 0.10
"""Cores that others may use during a sample; with more it is taken again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One server under one load for a few seconds.

    Attributes:
        server: its name.
        workload: its name.
        rate: good answers a second; parts of answers, where an answer has many.
        cpu: microseconds of processor time that each took, in all processes of the server.
        p50: milliseconds.
        p99: milliseconds.
        failed: answers that were no success.
        foreign: cores that were busy with others.
    """

    server: str
    workload: str
    rate: float
    cpu: float
    p50: float
    p99: float
    failed: int
    foreign: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Several samples of the same.

    Attributes:
        count: how many.
        rate: median.
        best_rate: the highest.
        cpu: median.
        least_cpu: the lowest, which disturbance reaches least.
        p50: median.
        p99: median.
        failed: in all.
        foreign: the highest.
    """

    count: int
    rate: float
    best_rate: float
    cpu: float
    least_cpu: float
    p50: float
    p99: float
    failed: int
    foreign: float


def interleaved(entries: Sequence[T], rounds: int) -> list[T]:
    """Each entry once a round; every round begins one further on, so that none is always behind the same."""
    if not entries:
        return []
    return [
        entries[(position + number) % len(entries)]
        for number in range(rounds)
        for position in range(len(entries))
    ]


class _Disturbed(Protocol):
    @property
    def foreign(self) -> float: ...


S = TypeVar("S", bound=_Disturbed)


def least_disturbed(take: Callable[[], S], tries: int) -> S:
    """Take a sample, again while the machine is busy; the choice is by what others did, never by the result."""
    taken: list[S] = []
    for _ in range(tries):
        taken.append(take())
        if taken[-1].foreign <= BUSY:
            break
    return min(taken, key=lambda sample: sample.foreign)


def summary(samples: Iterable[Sample]) -> Summary:
    """What is said of the samples of one server under one load.

    Raises:
        ValueError: there is none.
    """
    found = list(samples)
    if not found:
        raise ValueError("There is no sample to sum up.")
    return Summary(
        count=len(found),
        rate=statistics.median(one.rate for one in found),
        best_rate=max(one.rate for one in found),
        cpu=statistics.median(one.cpu for one in found),
        least_cpu=min(one.cpu for one in found),
        p50=statistics.median(one.p50 for one in found),
        p99=statistics.median(one.p99 for one in found),
        failed=sum(one.failed for one in found),
        foreign=max(one.foreign for one in found),
    )
