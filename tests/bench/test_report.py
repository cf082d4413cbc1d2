"""What becomes of the counts."""

import pytest

from chutes.bench.line import Answer, Problem
from chutes.bench.plan import Plan
from chutes.bench.report import report_of
from chutes.bench.strain import Strain
from chutes.bench.tally import Tally


def report(*answers, per_second=10.0, **options):
    tally = Tally()
    for answer in answers:
        tally.add(0.0, answer)
    return report_of(
        Plan(clients=2), tally, seconds=1.0, per_second=per_second, server=None, strain=Strain(), **options
    )


def test_good_answers_refusals_and_failures_are_told_apart():
    found = report(
        Answer(200, 0.1, size=500),
        Answer(204, 0.3),
        Answer(503, 0.1, retry_after="2", body=b'{"detail": "busy"}'),
        Answer(503, 0.1, retry_after="4"),
        Answer(429, 0.1, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
        Answer(500, 0.1, body=b"oops"),
        Answer(302, 0.1),
        Answer(0, 0.1, problem=Problem("timeout", "nothing came")),
        Answer(200, 0.1, problem=Problem("error in the stream", "out of memory")),
    )

    assert (found.requests, found.good, found.refused, found.failed) == (9, 2, 3, 4)
    assert found.statuses == {200: 2, 204: 1, 302: 1, 429: 1, 500: 1, 503: 2}
    assert (found.retry_after.min, found.retry_after.max) == (2, 4)
    assert {(failure.what, failure.count, failure.example) for failure in found.failures} == {
        ("503", 2, "busy"),
        ("429", 1, ""),
        ("500", 1, "oops"),
        ("302", 1, ""),
        ("timeout", 1, "nothing came"),
        ("error in the stream", 1, "out of memory"),
    }
    assert found.failures[0].what == "503"


def test_latency_and_bytes_are_those_of_good_answers():
    found = report(Answer(200, 0.1, size=500), Answer(200, 0.3, size=1500), Answer(500, 9.0, size=9999))

    assert (found.latency.mean, found.latency.max) == (pytest.approx(0.2), 0.3)
    assert found.bytes_per_second == pytest.approx(10_000)
    assert sum(bar.count for bar in found.bars) == 2
    assert found.streams is None


def test_streams_have_chunks():
    found = report(Answer(200, 1.0, first=0.2, size=10, chunks=5, streamed=True), per_second=3.0)

    assert (found.streams.chunks, found.streams.chunks_per_second) == (5, 15)
    assert found.streams.first_chunk.p50 == pytest.approx(0.2)
    assert found.streams.between_chunks.p50 == pytest.approx(0.2)


def test_a_stream_of_one_chunk_has_nothing_between_chunks():
    assert report(Answer(200, 1.0, first=0.2, chunks=1, streamed=True)).streams.between_chunks is None


def test_a_run_without_a_good_answer_has_no_latency():
    found = report(Answer(500, 0.1), per_second=0.0)
    assert (found.latency, found.bars, found.bytes_per_second) == (None, (), 0.0)


def test_a_run_without_any_answer():
    found = report(per_second=0.0, interrupted=True)
    assert (found.requests, found.failures, found.interrupted) == (0, (), True)
