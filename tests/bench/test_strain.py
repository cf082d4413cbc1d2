"""Noticing that the load generator is the bottleneck."""

from array import array

import pytest

from chutes.bench.fake import FakeTimer
from chutes.bench.strain import Strain, StrainGauge, complaints


def test_a_relaxed_run_has_no_complaints():
    assert complaints(Strain(cpu=0.4, lag=0.001, late=0.002), median=0.05, clients=8) == {}


def test_a_whole_processor_core_is_a_complaint():
    found = complaints(Strain(cpu=0.97), median=0.001, clients=8)
    assert list(found) == ["cpu"]
    assert "97 %" in found["cpu"]


@pytest.mark.parametrize("strain", [Strain(lag=0.03), Strain(late=0.03)])
def test_lateness_that_shows_in_the_latencies_is_a_complaint(strain):
    assert "30 ms late" in complaints(strain, median=0.02, clients=8)["late"]
    assert complaints(strain, median=2.0, clients=8) == {}


def test_requests_that_waited_for_a_connection_are_a_complaint():
    assert "3 requests waited for one of 8" in complaints(Strain(held=3), median=0.0, clients=8)["held"]


def test_a_loop_that_is_late_is_measured():
    timer = FakeTimer()
    gauge = StrainGauge(timer)
    gauge.start()
    for number in range(10):
        timer.call_later(number + 0.01, lambda: timer.pass_by(0.1))
    timer.run(until=lambda: timer.now() > 1010)
    strain = gauge.stop(lateness=array("d", [0.001, 0.002]), held=4)

    assert 0.05 < strain.lag <= 0.1
    assert (strain.late, strain.held) == (0.002, 4)


def test_a_loop_in_time_has_no_lag():
    timer = FakeTimer()
    gauge = StrainGauge(timer)
    gauge.start()
    timer.run(until=lambda: timer.now() > 1001)

    assert gauge.stop(lateness=array("d"), held=0).lag == pytest.approx(0.0, abs=1e-9)
