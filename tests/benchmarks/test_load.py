import pytest
from benchmarks.load import parse

REPORT = """Running 2s test @ http://127.0.0.1:9090/echo
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.61ms    1.02ms  23.35ms   96.42%
    Req/Sec    20.63k     2.37k   23.65k    85.00%
  Latency Distribution
     50%  980.00us
     75%    1.59ms
     90%    2.10ms
     99%    5.29ms
  41084 requests in 2.00s, 6.54MB read
Requests/sec:  20538.31
Transfer/sec:      3.27MB
"""


def test_the_report_of_wrk_is_read():
    found = parse(REPORT)
    assert (found.requests, found.seconds, found.p50, found.p99, found.failed) == (41084, 2.0, 0.98, 5.29, 0)
    assert found.rate == 20542.0


def test_answers_that_are_no_success_do_not_count():
    found = parse(REPORT + "  Non-2xx or 3xx responses: 1084\n")
    assert (found.requests, found.failed) == (40000, 1084)


def test_connections_that_break_are_failures():
    found = parse(REPORT + "  Socket errors: connect 1, read 2, write 3, timeout 4\n")
    assert (found.requests, found.failed) == (41084, 10)


def test_minutes_and_seconds_are_told_apart():
    found = parse(REPORT.replace("5.29ms", "1.20s ").replace("in 2.00s", "in 1.50m"))
    assert (found.p99, found.seconds) == (1200.0, 90.0)


def test_another_text_is_refused():
    with pytest.raises(ValueError, match="no report of wrk"):
        parse("unable to connect to 127.0.0.1:9090 Connection refused")
