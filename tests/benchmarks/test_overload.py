import json

import pytest
from benchmarks.http_client import Answer, parsed
from benchmarks.overload import judged, overloads


def good(sent: float, began: float, ended: float) -> Answer:
    body = json.dumps({"began": began}).encode()
    return Answer(sent=sent, ended=ended, status=200, headers={}, body=body)


def refused(sent: float, seconds: str | None) -> Answer:
    headers = {} if seconds is None else {"retry-after": seconds}
    return Answer(sent=sent, ended=sent, status=503, headers=headers, body=b"")


def test_only_what_is_answered_while_calls_come_is_goodput():
    found = judged(
        "one",
        4,
        [good(0.0, 0.0, 1.0), good(0.5, 1.0, 2.0), good(1.0, 2.0, 3.0)],
        began=0.0,
        seconds=2.0,
        foreign=0.25,
    )
    assert (found.sent, found.answered, found.goodput) == (3, 3, 1.0)
    assert (found.p50, found.p99) == (1.5, 2.0)


def test_a_refusal_is_held_against_the_wait_of_those_before_it():
    answers = [good(0.0, 0.0, 1.0), good(1.0, 4.0, 5.0), refused(2.0, "3"), good(2.5, 9.0, 9.5)]
    found = judged("one", 4, answers, began=0.0, seconds=5.0, foreign=0.25)
    assert (found.refused, found.waits) == (1, (1.5,))


def test_a_refusal_that_names_no_time_counts_as_none_that_fits():
    found = judged(
        "one",
        4,
        [good(0.0, 3.0, 4.0), refused(1.0, None), refused(1.0, "2")],
        began=0.0,
        seconds=4.0,
        foreign=0.25,
    )
    assert found.waits == (1.0,)
    assert overloads([found]).splitlines()[-1].endswith("1 of 2 |         0.25 |")


def test_other_answers_are_failures():
    broken = Answer(sent=0.0, ended=1.0, status=0, headers={}, body=b"")
    found = judged("one", None, [good(0.0, 0.0, 1.0), broken], began=0.0, seconds=1.0, foreign=0.25)
    assert (found.answered, found.refused, found.failed) == (1, 0, 1)


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n"])
def test_a_connection_that_ends_without_an_answer_has_no_status(raw):
    assert parsed(raw, sent=0.0, ended=1.0).status == 0


def test_an_answer_is_read_from_its_bytes():
    found = parsed(b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nX-Y: a:b\r\n\r\n{}", sent=1.0, ended=3.5)
    assert (found.status, found.seconds, found.body) == (503, 2.5, b"{}")
    assert found.headers == {"retry-after": "3", "x-y": "a:b"}
