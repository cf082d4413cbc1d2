"""Closed and open loops against a chute whose times are known, on a clock that does not run."""

import pytest

from chutes.bench.line import Answer, Problem, WireRequest
from chutes.bench.plan import Plan
from chutes.bench.spread import spread_of
from support.loads import Driven

STREAM = Answer(200, 0.0, first=0.2, size=100, chunks=5, streamed=True)


def test_a_client_sends_its_next_request_when_the_last_was_answered():
    run = Driven(Plan(clients=1, duration=0.995), [0.01])

    assert len(run.tally.latencies) == 100
    assert run.per_second == pytest.approx(100)
    assert list(run.tally.latencies) == pytest.approx([0.01] * 100)


def test_four_clients_of_a_chute_that_takes_20_ms_get_200_answers_a_second():
    run = Driven(Plan(clients=4, duration=1.0), [0.02])

    assert run.per_second == pytest.approx(200)


def test_percentiles_show_that_every_tenth_request_takes_long():
    run = Driven(Plan(clients=1, duration=None, requests=1000), [0.01] * 9 + [0.1])

    spread = spread_of(run.tally.latencies)
    assert (spread.p50, spread.p90) == pytest.approx((0.01, 0.01))
    assert (spread.p95, spread.p99, spread.p999) == pytest.approx((0.1, 0.1, 0.1))
    assert spread.mean == pytest.approx(0.019)
    assert run.per_second == pytest.approx(1 / 0.019)


def test_more_clients_than_the_chute_works_on_at_once_get_no_more_and_wait_longer():
    run = Driven(Plan(clients=8, duration=2.0), [0.02], concurrency=4)

    assert run.per_second == pytest.approx(200, rel=0.03)
    assert spread_of(run.tally.latencies).p50 == pytest.approx(0.04)


def test_a_number_of_requests_ends_a_run():
    run = Driven(Plan(clients=4, duration=None, requests=10), [0.01])

    assert len(run.chute.seen) == run.tally.answered == 10


def test_whichever_comes_first_ends_a_run_that_has_a_duration_and_a_number():
    assert Driven(Plan(clients=1, duration=0.055, requests=100), [0.01]).tally.answered == 6
    assert Driven(Plan(clients=1, duration=10.0, requests=5), [0.01]).tally.answered == 5


def test_requests_in_flight_at_the_end_are_waited_for_and_do_not_distort_the_rate():
    run = Driven(Plan(clients=3, duration=10.0), [4.0])

    assert run.tally.answered == 9
    assert run.per_second == pytest.approx(3 / 4)


def test_the_end_of_a_run_when_few_clients_are_left_does_not_count_as_idleness():
    run = Driven(Plan(clients=16, duration=None, requests=100), [1.0])

    assert run.seconds == pytest.approx(7.0)
    assert run.per_second == pytest.approx(16.0)


def test_requests_are_sent_in_turn():
    first, second = WireRequest(data=b"1"), WireRequest(data=b"2")
    run = Driven(Plan(clients=1, duration=None, requests=5), [0.01], requests=(first, second))

    assert [request.data for request in run.chute.seen] == [b"1", b"2", b"1", b"2", b"1"]


def test_a_refused_client_pauses_so_that_refusals_alone_are_no_load():
    run = Driven(Plan(clients=2, duration=10.0), [1.0], concurrency=1, queue=0)

    assert run.tally.statuses[200] == 10
    assert run.tally.statuses[503] <= 100
    assert list(run.tally.waits) == [2.0] * run.tally.statuses[503]
    assert run.tally.bad_statuses[503].example == "busy"


def test_a_client_that_finds_no_connection_pauses():
    nobody = Answer(0, 0.0, problem=Problem("no connection", "refused"))
    run = Driven(Plan(clients=1, duration=1.0), [0.0], answers=[nobody])

    assert run.tally.answered == pytest.approx(10, abs=1)
    assert run.per_second == 0.0


def test_a_bad_answer_counts_and_has_no_latency():
    answers = [Answer(200, 0.0), Answer(500, 0.0, body=b"Internal Server Error")]
    run = Driven(Plan(clients=1, duration=None, requests=10), [0.01], answers=answers)

    assert len(run.tally.latencies) == 5
    assert run.tally.statuses == {200: 5, 500: 5}
    assert run.per_second == pytest.approx(50)


def test_a_request_on_which_nothing_comes_is_given_up():
    run = Driven(Plan(clients=1, duration=10.0, timeout=2.0), [0.1, 1000.0])

    assert run.tally.problems["timeout"].count == run.tally.answered - len(run.tally.latencies) > 0
    assert run.seconds < 15


def test_a_stopped_run_ends_at_once_and_counts_what_it_has():
    run = Driven(Plan(clients=4, duration=100.0), [0.4], stop_after=1.0)

    assert run.seconds == pytest.approx(1.0)
    assert run.tally.answered == 8
    assert run.per_second == pytest.approx(8.0)
    assert run.ends == 1


def test_the_first_chunk_and_those_after_it_are_timed():
    run = Driven(Plan(clients=1, duration=None, requests=3), [1.0], answers=[STREAM])

    assert list(run.tally.first_chunks) == pytest.approx([0.2] * 3)
    assert list(run.tally.between_chunks) == pytest.approx([0.2] * 3)
    assert run.tally.chunks == 15


def test_even_arrivals_come_at_the_rate_whatever_the_chute_does():
    plan = Plan(clients=100, rate=50.0, arrivals="constant", duration=1.99)

    quick, slow = Driven(plan, [0.001]), Driven(plan, [1.0])

    assert len(quick.chute.seen) == len(slow.chute.seen) == 100
    assert quick.per_second == pytest.approx(50, rel=0.02)
    assert slow.per_second == pytest.approx(50, rel=0.02)
    assert slow.tally.latencies[-1] == pytest.approx(1.0)


def test_random_arrivals_come_at_the_rate_on_average_and_the_same_ones_each_time():
    plan = Plan(clients=1000, rate=200.0, duration=20.0)

    first, second = Driven(plan, [0.001]), Driven(plan, [0.001])

    assert first.tally.answered == second.tally.answered == pytest.approx(4000, rel=0.06)
    assert first.per_second == pytest.approx(200, rel=0.06)


def test_a_stall_counts_for_every_request_that_was_due_meanwhile():
    # One at a time, 1 ms each, and one of a second: those behind it have to wait, which a closed loop would hide.
    plan = Plan(clients=1, rate=100.0, arrivals="constant", duration=None, requests=200)
    run = Driven(plan, [0.001] * 50 + [1.0] + [0.001] * 149)

    long = [seconds for seconds in run.tally.latencies if seconds > 0.1]
    assert len(long) == pytest.approx(100, abs=5)
    assert run.tally.held == pytest.approx(110, abs=10)


def test_a_queue_of_random_arrivals_is_as_long_as_queueing_theory_says():
    # One server, 10 ms each, half of its capacity asked for: a wait of 10 ms * 0.5 / (2 * (1 - 0.5)) on average.
    run = Driven(Plan(clients=1000, rate=50.0, duration=400.0), [0.01], concurrency=1)

    assert spread_of(run.tally.latencies).mean == pytest.approx(0.015, rel=0.03)


def test_an_overloaded_chute_answers_at_its_own_rate():
    plan = Plan(clients=1000, rate=400.0, arrivals="constant", duration=5.0)
    run = Driven(plan, [0.02], concurrency=4, queue=8)

    assert run.per_second == pytest.approx(200, rel=0.03)
    assert run.tally.statuses[503] == pytest.approx(1000, rel=0.05)
    assert spread_of(run.tally.latencies).max == pytest.approx(0.06, rel=0.05)


def test_one_good_answer_of_an_open_loop_has_a_rate():
    run = Driven(Plan(clients=1, rate=1.0, duration=None, requests=1), [0.5])

    assert run.per_second == pytest.approx(2.0)


def test_a_stopped_open_loop_ends_at_once():
    run = Driven(Plan(clients=10, rate=10.0, arrivals="constant", duration=60.0), [0.05], stop_after=0.98)

    assert (run.ends, run.tally.answered) == (1, 10)
    assert run.seconds == pytest.approx(0.98)
