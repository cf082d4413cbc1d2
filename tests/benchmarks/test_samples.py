import pytest
from benchmarks.samples import BUSY, Sample, interleaved, least_disturbed, summary


def sample(**values) -> Sample:
    given = {
        "server": "one",
        "workload": "model",
        "rate": 100.0,
        "cpu": 10.0,
        "p50": 1.0,
        "p99": 2.0,
        "failed": 0,
    }
    return Sample(**(given | {"foreign": 0.0} | values))


def test_every_round_has_every_entry_once():
    order = interleaved("abc", 2)
    assert [sorted(order[:3]), sorted(order[3:])] == [["a", "b", "c"], ["a", "b", "c"]]


def test_every_round_begins_with_another_entry():
    assert interleaved("abc", 4) == list("abcbcacababc")


def test_nothing_gives_an_empty_order():
    assert interleaved([], 3) == []


def test_a_sample_of_a_quiet_machine_is_taken_once():
    taken = iter([sample(foreign=BUSY), sample(foreign=0.0)])
    assert least_disturbed(lambda: next(taken), 3).foreign == BUSY
    assert next(taken).foreign == 0.0


def test_of_samples_of_a_busy_machine_the_least_disturbed_is_kept_whatever_it_says():
    taken = [
        sample(foreign=0.9, rate=900.0),
        sample(foreign=0.3, rate=100.0),
        sample(foreign=0.6, rate=500.0),
    ]
    assert least_disturbed(lambda: taken.pop(0), 3).rate == 100.0


def test_a_summary_has_medians_and_the_extremes():
    found = summary(
        [
            sample(rate=10.0, cpu=5.0, p99=1.0, foreign=0.0, failed=1),
            sample(rate=30.0, cpu=9.0, p99=9.0, foreign=0.5),
            sample(rate=20.0, cpu=6.0, p99=2.0, foreign=0.1, failed=2),
        ]
    )
    assert (found.count, found.rate, found.best_rate, found.cpu, found.least_cpu) == (3, 20.0, 30.0, 6.0, 5.0)
    assert (found.p99, found.failed, found.foreign) == (2.0, 3, 0.5)


def test_nothing_cannot_be_summed_up():
    with pytest.raises(ValueError, match="no sample"):
        summary([])
