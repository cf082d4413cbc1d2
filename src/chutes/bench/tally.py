"""What a load counts while it runs."""

from array import array
from dataclasses import dataclass

from chutes.bench.line import Answer
from chutes.bench.said import said

__all__ = ["Failures", "Tally"]


@dataclass(slots=True)
class Failures:
    """Answers that went wrong in one way.

    Attributes:
        count: how many.
        example: what the first that said something said.
    """

    count: int = 0
    example: str = ""

    def add(self, example: str) -> None:
        """One more."""
        self.count += 1
        self.example = self.example or example


class Tally:
    """Samples and counts of one run; times are in seconds, sizes in bytes.

    Attributes:
        latencies: of each good answer, from when it should have been sent to its last byte.
        first_chunks: of each good stream, likewise to its first chunk.
        between_chunks: of each good stream of two chunks or more, the mean time from one to the next.
        lateness: of each request of an open loop that found a free connection, how late it was sent.
        statuses: how many answers had each HTTP status.
        problems: what kept requests from a good answer, apart from their statuses, by kind.
        bad_statuses: what answers with a bad status said, by status.
        waits: what each `Retry-After` asked for, in seconds.
        held: requests of an open loop that waited for a connection.
        answered: requests that ended, well or not.
        size: bytes of the bodies of good answers.
        chunks: chunks of good streams.
    """

    def __init__(self) -> None:
        self.latencies = array("d")
        self.first_chunks = array("d")
        self.between_chunks = array("d")
        self.lateness = array("d")
        self.statuses: dict[int, int] = {}
        self.problems: dict[str, Failures] = {}
        self.bad_statuses: dict[int, Failures] = {}
        self.waits = array("d")
        self.held = 0
        self.answered = 0
        self.size = 0
        self.chunks = 0

    def add(self, begun: float, answer: Answer) -> None:
        """Count an answer to a request that should have been sent at `begun`."""
        self.answered += 1
        status = answer.status
        if status:
            self.statuses[status] = self.statuses.get(status, 0) + 1
        if not answer.good:
            self._bad(answer)
            return
        self.latencies.append(answer.ended - begun)
        self.size += answer.size
        if answer.streamed:
            self._stream(begun, answer)

    def _stream(self, begun: float, answer: Answer) -> None:
        self.chunks += answer.chunks
        if answer.first:
            self.first_chunks.append(answer.first - begun)
        if answer.chunks > 1:
            self.between_chunks.append((answer.ended - answer.first) / (answer.chunks - 1))

    def _bad(self, answer: Answer) -> None:
        if answer.problem is not None:
            self.problems.setdefault(answer.problem.kind, Failures()).add(answer.problem.text)
            return
        failures = self.bad_statuses.setdefault(answer.status, Failures())
        # The first example serves: to read every one would cost the chute's refusals the time of its answers.
        failures.add("" if failures.example else said(answer.body))
        if answer.retry_after.isdigit():
            self.waits.append(float(answer.retry_after))
