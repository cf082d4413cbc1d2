"""Where throughput stopped growing."""

from chutes.bench.line import Answer
from chutes.bench.plan import Plan
from chutes.bench.report import report_of
from chutes.bench.saturation import saturation_of
from chutes.bench.server_side import ServerSide
from chutes.bench.strain import Strain
from chutes.bench.tally import Tally
from support.loads import Driven


def report(clients, per_second, concurrency=None, rate=None):
    tally = Tally()
    if per_second:
        tally.add(0.0, Answer(200, clients / per_second))
    server = ServerSide(concurrency=concurrency) if concurrency else None
    plan = Plan(clients=clients, rate=rate)
    return report_of(plan, tally, seconds=1.0, per_second=per_second, server=server, strain=Strain())


def test_the_fewest_clients_that_get_nearly_everything():
    found = saturation_of([report(1, 50), report(2, 100), report(4, 196), report(8, 200), report(16, 199)])
    assert (found.clients, found.per_second, found.is_last) == (4, 196, False)


def test_throughput_that_falls_after_its_peak():
    assert saturation_of([report(1, 50), report(2, 90), report(4, 60)]).clients == 2


def test_throughput_that_still_grows_at_the_end():
    found = saturation_of([report(1, 50), report(2, 100), report(4, 200)])
    assert (found.clients, found.is_last) == (4, True)


def test_the_order_of_the_runs_does_not_matter():
    assert saturation_of([report(8, 200), report(1, 50), report(4, 198)]).clients == 4


def test_the_chutes_own_limit_is_told_apart_from_the_models():
    assert saturation_of([report(1, 50, 4), report(4, 200, 4), report(8, 200, 4)]).is_limit
    assert not saturation_of([report(1, 50, 32), report(4, 200, 32), report(8, 200, 32)]).is_limit
    assert saturation_of([report(1, 50), report(4, 200), report(8, 200)]).concurrency is None


def test_one_run_or_runs_without_answers_or_rates_say_nothing():
    assert saturation_of([report(1, 50)]) is None
    assert saturation_of([report(1, 50), report(2, 0)]) is None
    assert saturation_of([report(4, 50, rate=50.0), report(4, 90, rate=90.0)]) is None
    assert saturation_of([report(4, 50), report(4, 51)]) is None
    assert saturation_of([]) is None


def test_it_finds_the_slots_of_a_chute_that_is_loaded():
    reports = []
    for clients in (1, 2, 4, 8, 16):
        plan = Plan(clients=clients, duration=2.0)
        run = Driven(plan, [0.02], concurrency=4)
        reports.append(
            report_of(
                plan, run.tally, seconds=run.seconds, per_second=run.per_second, server=None, strain=Strain()
            )
        )
    assert saturation_of(reports).clients == 4
