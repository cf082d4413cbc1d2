"""What a plan refuses, and the arrivals that it stands for."""

from itertools import islice

import pytest

from chutes.bench.plan import Plan, gaps


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"clients": 0}, "number of clients 0"),
        ({"clients": 10_001}, "1 to 10000"),
        ({"rate": 0.0}, "rate 0"),
        ({"rate": float("inf")}, "rate inf"),
        ({"rate": float("nan")}, "rate nan"),
        ({"arrivals": "often"}, "poisson or constant"),
        ({"duration": None}, "without an end"),
        ({"duration": 0.0}, "duration 0"),
        ({"duration": float("inf")}, "duration inf"),
        ({"requests": 0}, "number of requests 0"),
        ({"warmup": -1}, "warm-up -1"),
        ({"timeout": 0.0}, "timeout 0"),
    ],
)
def test_a_number_that_cannot_be_is_refused(values, text):
    with pytest.raises(ValueError, match=text):
        Plan(**values)


def test_even_gaps_are_all_alike():
    assert list(islice(gaps(Plan(rate=4.0, arrivals="constant")), 3)) == [0.25] * 3


def test_random_gaps_have_the_spread_of_independent_arrivals():
    found = list(islice(gaps(Plan(rate=10.0)), 20_000))
    mean = sum(found) / len(found)
    assert mean == pytest.approx(0.1, rel=0.05)
    # Of an exponential distribution, 1 - 1/e of the gaps are shorter than the mean.
    assert sum(gap < mean for gap in found) / len(found) == pytest.approx(0.632, abs=0.02)


def test_a_closed_loop_has_no_gaps():
    with pytest.raises(ValueError, match="no arrivals"):
        next(gaps(Plan()))


def test_a_warm_up_is_a_closed_loop_of_no_more_clients_than_requests():
    assert Plan(clients=8, warmup=20).warming() == Plan(clients=8, duration=None, requests=20)
    assert Plan(clients=1000, rate=5.0, warmup=3).warming() == Plan(clients=3, duration=None, requests=3)
