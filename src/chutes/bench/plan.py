"""How a chute is to be loaded."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

__all__ = ["Arrivals", "Plan", "gaps"]

Arrivals: TypeAlias = Literal["poisson", "constant"]
_MOST_CLIENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run: a closed loop of clients, each of which waits for its answer, or with `rate` an open one.

    Attributes:
        clients: how many send at once; with a rate, how many connections there may be.
        rate: requests a second, whatever the chute makes of them; None for a closed loop.
        arrivals: with a rate, whether requests come at random or evenly.
        duration: seconds in which requests are begun; None for no limit.
        requests: how many are begun; None for no limit.
        warmup: requests before them that are not counted.
        timeout: seconds without a byte from the chute after which a request is given up.

    Raises:
        ValueError: a number cannot be.
    """

    clients: int = 8
    rate: float | None = None
    arrivals: Arrivals = "poisson"
    duration: float | None = 10.0
    requests: int | None = None
    warmup: int = 0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= _MOST_CLIENTS:
            raise ValueError(f"Invalid number of clients {self.clients}. Write 1 to {_MOST_CLIENTS}.")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise ValueError(f"Invalid rate {self.rate:g}. Write requests a second, for example 100.")
        if self.arrivals not in get_args(Arrivals):
            raise ValueError(f"Invalid arrivals {self.arrivals!r}. Write {' or '.join(get_args(Arrivals))}.")
        if self.duration is None and self.requests is None:
            raise ValueError("A run without an end. Give a duration, or a number of requests.")
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise ValueError(f"Invalid duration {self.duration:g}. Write seconds, for example 10.")
        if self.requests is not None and self.requests < 1:
            raise ValueError(f"Invalid number of requests {self.requests}. Write 1 or more.")
        if self.warmup < 0:
            raise ValueError(f"Invalid warm-up {self.warmup}. Write a number of requests, or 0 for none.")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"Invalid timeout {self.timeout:g}. Write seconds, for example 60.")

    def warming(self) -> "Plan":
        """The run of the warm-up: a closed loop of as many clients as it has requests for."""
        return replace(
            self,
            clients=min(self.clients, self.warmup),
            rate=None,
            duration=None,
            requests=self.warmup,
            warmup=0,
        )


def gaps(plan: Plan) -> Iterator[float]:
    """Seconds from each arrival to the next, without end; the same ones in each run, so that runs compare.

    Raises:
        ValueError: the plan has no rate.
    """
    if plan.rate is None:
        raise ValueError("A closed loop has no arrivals.")
    chance = random.Random(plan.rate)  # noqa: S311 - spreads arrivals, guards nothing
    while True:
        yield chance.expovariate(plan.rate) if plan.arrivals == "poisson" else 1 / plan.rate
