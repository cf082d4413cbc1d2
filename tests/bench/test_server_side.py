"""Reading the chute's own numbers."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chutes import Chute
from chutes.bench.server_side import read_metrics, server_side
from chutes.testing import TestClient

BEFORE = """
# TYPE chutes_running gauge
chutes_running 0
# TYPE chutes_waiting gauge
chutes_waiting 0
# TYPE chutes_concurrency gauge
chutes_concurrency 4
# TYPE chutes_queue_seconds histogram
chutes_queue_seconds_bucket{cord="a",le="0.1"} 10
chutes_queue_seconds_bucket{cord="a",le="1.0"} 10
chutes_queue_seconds_bucket{cord="a",le="+Inf"} 10
chutes_queue_seconds_count{cord="a"} 10
chutes_queue_seconds_sum{cord="a"} 0.5
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 2.0
"""
DURING = BEFORE.replace("running 0", "running 4").replace("waiting 0", "waiting 6")
AFTER = """
# TYPE chutes_concurrency gauge
chutes_concurrency 4
# TYPE chutes_queue_seconds histogram
chutes_queue_seconds_bucket{cord="a",le="0.1"} 60
chutes_queue_seconds_bucket{cord="a",le="1.0"} 100
chutes_queue_seconds_bucket{cord="a",le="+Inf"} 100
chutes_queue_seconds_count{cord="a"} 100
chutes_queue_seconds_sum{cord="a"} 18.5
chutes_queue_seconds_bucket{cord="b",le="0.1"} 10
chutes_queue_seconds_bucket{cord="b",le="1.0"} 10
chutes_queue_seconds_bucket{cord="b",le="+Inf"} 10
chutes_queue_seconds_count{cord="b"} 10
chutes_queue_seconds_sum{cord="b"} 0.0
# TYPE chutes_batch_size histogram
chutes_batch_size_bucket{cord="a",le="+Inf"} 20
chutes_batch_size_count{cord="a"} 20
chutes_batch_size_sum{cord="a"} 90
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 3.0
"""


def test_what_changed_is_what_the_load_did():
    found = server_side([read_metrics(text) for text in (BEFORE, DURING, BEFORE, AFTER)], seconds=4.0)

    assert (found.concurrency, found.running, found.waiting) == (4, 2.0, 3.0)
    assert found.queued_mean == pytest.approx(0.18)
    assert found.queued_p99 == 1.0
    assert (found.batches, found.batch_mean) == (20, 4.5)
    assert found.cpu == pytest.approx(0.25)


def test_a_load_that_left_no_trace_has_no_means():
    found = server_side([read_metrics(BEFORE)] * 2, seconds=1.0)

    assert (found.queued_mean, found.queued_p99, found.batches, found.running) == (None, None, None, None)


def test_waits_beyond_every_bound_have_no_bound():
    text = 'chutes_queue_seconds_bucket{le="1.0"} 0\nchutes_queue_seconds_bucket{le="+Inf"} 5\n'
    head = "# TYPE chutes_concurrency gauge\nchutes_concurrency 1\n# TYPE chutes_queue_seconds histogram\n"

    assert server_side([read_metrics(""), read_metrics(head + text)], seconds=1.0).queued_p99 is None


def test_metrics_of_something_else_say_nothing():
    assert server_side([read_metrics("up 1\n"), read_metrics("up 1\n")], seconds=1.0) is None
    assert server_side([], seconds=1.0) is None


def test_a_page_that_is_no_metrics_is_refused():
    with pytest.raises(ValueError):
        read_metrics("<html>{</html>")


def test_the_names_are_those_of_a_real_chute():
    chute = Chute(username="test", name="probe", image="python:3.11", concurrency=3)

    @chute.cord("/a")
    async def a(self):
        return 1

    with TestClient(chute) as client:
        client.post("/a", json={})
        text = client.get("/metrics").text
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}

    assert {"chutes_running", "chutes_waiting", "chutes_queue_seconds_sum"} <= names
    assert server_side([read_metrics(""), read_metrics(text)], seconds=1.0).concurrency == 3
