"""What came of a run, in numbers that a program or a person can use."""

from dataclasses import dataclass

from chutes.bench.plan import Plan
from chutes.bench.server_side import ServerSide
from chutes.bench.spread import Bar, Spread, bars_of, spread_of
from chutes.bench.strain import Strain, complaints
from chutes.bench.tally import Failures, Tally

__all__ = ["Failure", "Report", "Streams", "report_of"]

_REFUSALS = (429, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Requests that had no good answer, in one way.

    Attributes:
        what: the status, or what kept an answer from coming.
        count: how many.
        example: what one of them said.
    """

    what: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What concerns answers that came in chunks; times are in seconds.

    Attributes:
        chunks: how many in all good answers; events, where it was a stream of those.
        chunks_per_second: how many came in a second from all answers at once.
        first_chunk: from sending a request to the first chunk.
        between_chunks: the mean time of each answer from one chunk to the next.
    """

    chunks: int
    chunks_per_second: float
    first_chunk: Spread | None
    between_chunks: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run; times are in seconds.

    Attributes:
        clients: how many there were; of an open loop, how many connections there might be.
        rate: the requests a second of an open loop, None for a closed one.
        seconds: how long it took.
        requests: those that ended.
        good: those that succeeded.
        refused: those answered 429 or 503.
        per_second: good answers a second.
        bytes_per_second: bytes of their bodies.
        latency: of the good answers; None when there was none.
        bars: the histogram of those.
        statuses: how many answers had each status.
        failures: the ways in which requests failed.
        retry_after: the seconds that refusals asked to wait.
        streams: None when the answers were no streams.
        server: what the chute says; None when it does not.
        strain: how hard the run was for the load generator.
        complaints: why the numbers may be about the load generator; see `strain.complaints`.
        interrupted: whether it was ended early.
    """

    clients: int
    rate: float | None
    seconds: float
    requests: int
    good: int
    refused: int
    per_second: float
    bytes_per_second: float
    latency: Spread | None
    bars: tuple[Bar, ...]
    statuses: dict[int, int]
    failures: tuple[Failure, ...]
    retry_after: Spread | None
    streams: Streams | None
    server: ServerSide | None
    strain: Strain
    complaints: dict[str, str]
    interrupted: bool

    @property
    def failed(self) -> int:
        """Requests that ended without a good answer, and were not refused."""
        return self.requests - self.good - self.refused


def report_of(
    plan: Plan,
    tally: Tally,
    *,
    seconds: float,
    per_second: float,
    server: ServerSide | None,
    strain: Strain,
    interrupted: bool = False,
) -> Report:
    """The report of a run that has ended.

    Args:
        plan: what was asked for.
        tally: what was counted.
        seconds: how long it took.
        per_second: good answers a second.
        server: what the chute says of it.
        strain: how hard it was for the load generator.
        interrupted: whether it was ended early.
    """
    good = len(tally.latencies)
    latency = spread_of(tally.latencies)
    return Report(
        clients=plan.clients,
        rate=plan.rate,
        seconds=seconds,
        requests=tally.answered,
        good=good,
        refused=sum(tally.statuses.get(status, 0) for status in _REFUSALS),
        per_second=per_second,
        bytes_per_second=_per_good(tally.size, good) * per_second,
        latency=latency,
        bars=bars_of(tally.latencies),
        statuses=dict(sorted(tally.statuses.items())),
        failures=_failures(tally),
        retry_after=spread_of(tally.waits),
        streams=_streams(tally, good, per_second),
        server=server,
        strain=strain,
        complaints=complaints(strain, median=latency.p50 if latency else 0.0, clients=plan.clients),
        interrupted=interrupted,
    )


def _per_good(total: float, good: int) -> float:
    return total / good if good else 0.0


def _streams(tally: Tally, good: int, per_second: float) -> Streams | None:
    if not tally.first_chunks:
        return None
    return Streams(
        chunks=tally.chunks,
        chunks_per_second=_per_good(tally.chunks, good) * per_second,
        first_chunk=spread_of(tally.first_chunks),
        between_chunks=spread_of(tally.between_chunks),
    )


def _failures(tally: Tally) -> tuple[Failure, ...]:
    ways: list[tuple[str, Failures]] = [
        *((str(status), failures) for status, failures in tally.bad_statuses.items()),
        *tally.problems.items(),
    ]
    found = [Failure(what=what, count=way.count, example=way.example) for what, way in ways]
    return tuple(sorted(found, key=lambda failure: -failure.count))
