"""Counting events, however the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.bench.events import EventCounter

STREAM = (
    b": a comment\n\n"
    b'data: {"token": "to"}\n\n'
    b"event: note\r\nid: 7\r\ndata: two\r\ndata: lines\r\n\r\n"
    b"retry: 5\n\n"
    b"data:\n\n"
    b"data: [DONE]\n\n"
    b"data: unfinished"
)


def test_events_with_data_count_and_nothing_else_does():
    counter = EventCounter()
    assert counter.feed(STREAM) == 3
    assert counter.error is None


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=20))
def test_it_does_not_matter_where_the_chunks_end(cuts):
    counter = EventCounter()
    edges = [0, *sorted(cuts), len(STREAM)]
    assert sum(counter.feed(STREAM[begin:end]) for begin, end in pairwise(edges)) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"detail": "out of memory"}', "out of memory"),
        (b'{"error": {"message": "no such model"}}', "no such model"),
        (b"plain text", "plain text"),
    ],
)
def test_an_error_event_is_remembered_with_what_it_says(data, said):
    counter = EventCounter()
    assert counter.feed(b"data: 1\n\nevent: error\ndata: " + data + b"\n\n") == 1
    assert counter.error == said


def test_an_error_event_without_data_is_an_error():
    counter = EventCounter()
    counter.feed(b"event: error\n\n")
    assert counter.error == ""


def test_a_completions_error_without_the_event_name_is_data():
    counter = EventCounter()
    assert counter.feed(b'data: {"error": {"message": "no"}}\n\n') == 1
