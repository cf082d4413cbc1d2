"""Where more clients, or a higher rate, stopped bringing more throughput."""

from collections.abc import Sequence
from dataclasses import dataclass

from chutes.bench.report import Report

__all__ = ["Saturation", "saturation_of"]

# Below that a difference from one run to the next says little.
_GAIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """The fewest clients that get nearly all the throughput there is.

    Attributes:
        clients: how many.
        per_second: good answers a second with that many.
        p50: their median latency in seconds.
        is_last: whether no run had more clients, so that more might get more.
        is_limit: whether the chute's own `concurrency` is the same or less: it, and not the model, may be what
            the throughput ends at.
        concurrency: the chute's `concurrency`, None when it is unknown.
    """

    clients: int
    per_second: float
    p50: float
    is_last: bool
    is_limit: bool
    concurrency: int | None


def saturation_of(reports: Sequence[Report]) -> Saturation | None:
    """Where the throughput of closed loops stopped growing; None without two of them that had answers."""
    closed = sorted((one for one in reports if one.rate is None and one.latency), key=lambda one: one.clients)
    if len({one.clients for one in closed}) < 2:  # noqa: PLR2004 - growth is from one to another
        return None
    best = max(one.per_second for one in closed)
    knee = next(one for one in closed if one.per_second >= best * (1 - _GAIN))
    concurrency = knee.server.concurrency if knee.server else None
    return Saturation(
        clients=knee.clients,
        per_second=knee.per_second,
        p50=knee.latency.p50 if knee.latency else 0.0,
        is_last=knee is closed[-1],
        is_limit=concurrency is not None and concurrency <= knee.clients,
        concurrency=concurrency,
    )
