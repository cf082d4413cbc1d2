"""How reports read."""

from dataclasses import replace

import pytest

from chutes.bench.line import Answer, Problem
from chutes.bench.plan import Plan
from chutes.bench.report import report_of
from chutes.bench.saturation import Saturation
from chutes.bench.server_side import ServerSide
from chutes.bench.spread import Bar
from chutes.bench.strain import Strain
from chutes.bench.tally import Tally
from chutes.cli.bench_text import (
    failures_of_several,
    histogram,
    report_lines,
    row,
    row_titles,
    saturation_sentence,
)

BLOCKS = "▏▎▍▌▋▊▉█"
KNEE = Saturation(clients=4, per_second=155.4, p50=0.0249, is_last=False, is_limit=False, concurrency=32)


def report(*answers, clients=2, rate=None, per_second=10.0, server=None, interrupted=False):
    tally = Tally()
    for answer in answers:
        tally.add(0.0, answer)
    return report_of(
        Plan(clients=clients, rate=rate),
        tally,
        seconds=5.012,
        per_second=per_second,
        server=server,
        strain=Strain(),
        interrupted=interrupted,
    )


def text(made):
    return "\n".join(report_lines(made, 80, BLOCKS))


def test_a_report_has_all_there_is():
    made = report(
        Answer(200, 0.0123, size=2000),
        Answer(200, 1.5, size=2000),
        Answer(503, 0.1, retry_after="2", body=b'{"detail": "busy"}'),
        Answer(0, 0.1, problem=Problem("timeout", "nothing came")),
        server=ServerSide(
            concurrency=4,
            running=3.9,
            waiting=12.2,
            queued_mean=0.0754,
            queued_p99=0.1,
            batches=40,
            batch_mean=7.25,
            cpu=0.98,
        ),
    )

    assert text(made).splitlines()[:9] == [
        "load         2 clients for 5.01 s",
        "requests     4: 2 good, 1 refused, 1 failed",
        "throughput   10/s, 20 kB/s",
        "latency      p50 12.3 ms  p90 1.50 s  p95 1.50 s  p99 1.50 s  p99.9 1.50 s",
        "             min 12.3 ms  mean 756 ms  max 1.50 s",
        "statuses     200: 2, 503: 1",
        "failed       1 x 503, asked to wait 2 s: busy",
        "failed       1 x timeout: nothing came",
        "the chute    concurrency 4; on average 3.9 running and 12.2 waiting; queued for 75.4 ms on average "
        "(99 % within 100 ms); 40 batches of 7.25; 98 % of a processor core",
    ]


def test_a_stream_has_its_chunks():
    lines = text(report(Answer(200, 1.0, first=0.2, size=10, chunks=5, streamed=True)))
    assert "chunks       5, 50/s" in lines
    assert "first chunk  p50 200 ms" in lines
    assert "next chunk   p50 200 ms" in lines


def test_a_run_that_was_interrupted_before_anything_came():
    assert text(report(per_second=0.0, interrupted=True)).splitlines() == [
        "load         2 clients for 5.01 s, interrupted",
        "requests     0: none ended",
        "throughput   0/s, 0 bytes/s",
    ]


def test_a_rate_is_named():
    assert text(report(Answer(200, 0.1), rate=99.5)).startswith("load         99.5 requests/s for")


def test_bars_fit_the_terminal_and_are_in_proportion():
    lines = histogram(
        [Bar(upto=0.01, count=50), Bar(upto=0.02, count=100), Bar(upto=0.5, count=0)], 60, BLOCKS
    )

    assert all(len(line) <= 60 for line in lines)
    full = lines[1].count("█")
    assert lines[0].count("█") == pytest.approx(full / 2, abs=1)
    assert "█" not in lines[2]
    assert [line.split()[-1] for line in lines] == ["50", "100", "0"]


def test_refusals_that_ask_for_different_waits_give_the_range():
    made = report(Answer(503, 0.1, retry_after="2"), Answer(503, 0.1, retry_after="9"))
    assert "2 x 503, asked to wait 2 to 9 s" in text(made)


def test_a_narrow_terminal_still_has_bars():
    assert "█" in histogram([Bar(upto=0.01, count=5)], 5, BLOCKS)[0]


def test_bars_of_plain_characters():
    lines = histogram([Bar(upto=0.01, count=50), Bar(upto=0.02, count=100)], 60, "#")
    assert all(line.isascii() for line in lines)
    assert lines[0].count("#") == pytest.approx(lines[1].count("#") / 2, abs=1)


def test_rows_stand_under_their_titles():
    made = report(Answer(200, 0.0249), Answer(500, 0.1), Answer(503, 0.1), clients=16, per_second=155.4)
    title, line = row_titles(made), row(made, streams=False)

    assert title.split() == ["clients", "req/s", "p50", "p90", "p99", "failed", "refused"]
    assert line.split() == ["16", "155", "24.9", "ms", "24.9", "ms", "24.9", "ms", "1", "1"]
    assert len(title) == len(line)


def test_rows_of_streams_have_two_more_columns():
    made = report(Answer(200, 1.0, first=0.2, chunks=5, streamed=True), per_second=2.0)
    title, line = row_titles(made), row(made, streams=True)

    assert "1st chunk   chunks/s" in title
    assert "200 ms         10" in line
    assert len(title) == len(line)
    assert len(row(report(Answer(500, 1.0), per_second=0.0), streams=True)) == len(title)


def test_rows_of_rates_begin_with_the_rate():
    made = report(Answer(200, 0.1), rate=50.0, clients=1000)
    assert row_titles(made).split()[0] == "rate"
    assert row(made, streams=False).split()[0] == "50"


def test_failures_of_several_runs_are_added_up():
    made = report(Answer(500, 0.1, body=b"oops"))
    assert failures_of_several([made, made, report(Answer(200, 0.1))]) == ["2 x 500: oops"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {},
            "Throughput stopped growing at 4 clients: 155/s with a median latency of 24.9 ms. More only wait longer: "
            "concurrency=4 is enough for this load (it is 32).",
        ),
        (
            {"concurrency": None},
            "Throughput stopped growing at 4 clients: 155/s with a median latency of 24.9 ms. More only wait longer.",
        ),
        (
            {"concurrency": 4, "is_limit": True},
            "Throughput stopped growing at 4 clients: 155/s with a median latency of 24.9 ms. The chute runs 4 at once "
            "(concurrency=4), which may be what holds it: raise that, and measure again.",
        ),
        ({"is_last": True}, "Throughput still grew at 4 clients (155/s): try more, with -c 4,8,16."),
        (
            {"is_last": True, "concurrency": 2, "is_limit": True},
            "Throughput still grew at 4 clients: 155/s with a median latency of 24.9 ms. The chute runs 2 at once "
            "(concurrency=2), which may be what holds it: raise that, and measure again.",
        ),
        ({"clients": 1, "concurrency": None}, "Throughput stopped growing at 1 client: 155/s"),
    ],
)
def test_where_throughput_stopped_growing(change, sentence):
    assert saturation_sentence(replace(KNEE, **change)).startswith(sentence)
