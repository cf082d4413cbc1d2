"""Whether the load generator itself held the load back: then its numbers are about it, not about the chute."""

import time
from array import array
from dataclasses import dataclass

from chutes.bench.line import Timer
from chutes.bench.spread import quantile

__all__ = ["Strain", "StrainGauge", "complaints"]

_EVERY = 0.02
_BUSY = 0.9
_NOTICEABLE = 0.005
_SHARE_OF_LATENCY = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Strain:
    """How hard it was.

    Attributes:
        cpu: the share of one processor core that this process used, 1.0 for all of it.
        lag: seconds by which its event loop was late, at the 99th percentile.
        late: seconds by which the requests of an open loop were sent late, likewise; 0 for a closed loop.
        held: requests of an open loop that waited for a connection.
    """

    cpu: float = 0.0
    lag: float = 0.0
    late: float = 0.0
    held: int = 0


class StrainGauge:
    """Measures the strain between `start` and `stop`."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._lags = array("d")

    def start(self) -> None:
        """Begin."""
        self._began = self._timer.now()
        self._cpu = time.process_time()
        self._later()

    def stop(self, *, lateness: "array[float]", held: int) -> Strain:
        """End, and tell; the lateness and the number of held requests are those of the load."""
        self._tick.cancel()
        wall = self._timer.now() - self._began
        used = time.process_time() - self._cpu
        return Strain(
            cpu=used / wall if wall > 0 else 0.0,
            lag=quantile(sorted(self._lags), 0.99) if self._lags else 0.0,
            late=quantile(sorted(lateness), 0.99) if lateness else 0.0,
            held=held,
        )

    def _later(self) -> None:
        self._due = self._timer.now() + _EVERY
        self._tick = self._timer.call_later(_EVERY, self._on_tick)

    def _on_tick(self) -> None:
        self._lags.append(max(0.0, self._timer.now() - self._due))
        self._later()


def complaints(strain: Strain, *, median: float, clients: int) -> dict[str, str]:
    """A sentence for each sign that the numbers are about the load generator: `cpu`, `late`, `held`.

    Args:
        strain: what was measured.
        median: seconds of the median latency, 0 when there is none.
        clients: how many connections there were at most.
    """
    found = {}
    if strain.cpu > _BUSY:
        found["cpu"] = (
            f"This command used {strain.cpu * 100:.0f} % of a processor core, and may be slower than the chute. "
            "Run two of it at once: when both together get more, it was."
        )
    late = max(strain.lag, strain.late)
    if late > max(_NOTICEABLE, _SHARE_OF_LATENCY * median):
        found["late"] = (
            f"This command ran {late * 1000:.0f} ms late at times, which is part of the latencies. "
            "Give it a processor core of its own, or another machine."
        )
    if strain.held:
        found["held"] = (
            f"{strain.held} requests waited for one of {clients} connections. Allow more with --clients."
        )
    return found
