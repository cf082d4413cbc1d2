"""How samples are spread: percentiles, and the counts for a histogram."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Bar", "Spread", "bars_of", "quantile", "spread_of"]

_WIDE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Samples in a few numbers, in the unit of the samples.

    Each percentile is a sample: the smallest that is not exceeded by at least that share of all.
    """

    count: int
    min: float
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a histogram: how many samples lie above the bar before it and up to `upto`."""

    upto: float
    count: int


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered samples that a `share` of them, 0 to 1, does not exceed."""
    # Twelve digits: 0.999 * 1000 is a little more than 999 in binary.
    rank = math.ceil(round(share * len(ordered), 12))
    return ordered[max(0, rank - 1)]


def spread_of(samples: Iterable[float]) -> Spread | None:
    """The spread of samples; None when there are none."""
    ordered = sorted(samples)
    if not ordered:
        return None
    return Spread(
        count=len(ordered),
        min=ordered[0],
        mean=math.fsum(ordered) / len(ordered),
        p50=quantile(ordered, 0.5),
        p90=quantile(ordered, 0.9),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        p999=quantile(ordered, 0.999),
        max=ordered[-1],
    )


def bars_of(samples: Iterable[float], most: int = 10) -> tuple[Bar, ...]:
    """The bars of a histogram, `most` at most.

    They are equally wide, or where the longest sample is several times the shortest, each wider than the one
    before it by the same factor: in equal ones the tail would leave everything else in a single bar.
    """
    ordered = sorted(samples)
    if not ordered:
        return ()
    low, high = ordered[0], ordered[-1]
    if high <= low:
        return (Bar(upto=high, count=len(ordered)),)
    steps = [number / most for number in range(1, most)]
    if low > 0 and _WIDE < high / low < math.inf:
        bounds = [low * (high / low) ** step for step in steps]
    else:
        bounds = [low + (high - low) * step for step in steps]
    reached = [*(bisect_right(ordered, bound) for bound in bounds), len(ordered)]
    before = [0, *reached[:-1]]
    return tuple(
        Bar(upto=bound, count=now - then)
        for bound, now, then in zip([*bounds, high], reached, before, strict=True)
    )
