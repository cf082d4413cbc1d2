"""Percentiles and histograms, against what they mean."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.bench.spread import bars_of, quantile, spread_of

SAMPLES = st.lists(st.floats(min_value=0, max_value=1e4, allow_nan=False), min_size=1, max_size=200)


def test_the_percentiles_of_one_to_a_thousand():
    spread = spread_of(range(1, 1001))

    assert (spread.p50, spread.p90, spread.p95, spread.p99, spread.p999) == (500, 900, 950, 990, 999)
    assert (spread.count, spread.min, spread.mean, spread.max) == (1000, 1, 500.5, 1000)


def test_one_sample_is_every_percentile():
    spread = spread_of([0.25])
    assert {spread.min, spread.mean, spread.p50, spread.p999, spread.max} == {0.25}


def test_no_samples_have_no_spread_and_no_bars():
    assert spread_of([]) is None
    assert bars_of([]) == ()


@given(SAMPLES, st.floats(min_value=0.001, max_value=1))
def test_a_quantile_is_the_smallest_sample_that_the_share_does_not_exceed(samples, share):
    ordered = sorted(samples)
    value = quantile(ordered, share)
    wanted = math.ceil(round(share * len(ordered), 12))
    assert sum(sample <= value for sample in ordered) >= wanted
    assert sum(sample < value for sample in ordered) < max(1, wanted)


@given(SAMPLES)
def test_every_sample_is_in_one_bar(samples):
    bars = bars_of(samples)
    assert sum(bar.count for bar in bars) == len(samples)
    assert bars[-1].upto == max(samples)
    assert [bar.upto for bar in bars] == sorted(bar.upto for bar in bars)
    assert len(bars) <= 10


def test_bars_of_samples_near_each_other_are_equally_wide():
    bars = bars_of([10.0, 20.0], most=5)
    assert [bar.upto for bar in bars] == pytest.approx([12, 14, 16, 18, 20])
    assert [bar.count for bar in bars] == [1, 0, 0, 0, 1]


def test_bars_grow_by_a_factor_when_there_is_a_long_tail():
    bars = bars_of([1.0, 1.5, 10.0, 100.0], most=2)
    assert [bar.upto for bar in bars] == pytest.approx([10, 100])
    assert [bar.count for bar in bars] == [3, 1]


def test_samples_that_are_all_alike_are_one_bar():
    assert [bar.count for bar in bars_of([2.0] * 7)] == [7]
