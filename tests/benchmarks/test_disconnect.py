import pytest
from benchmarks.disconnect import Departure, departure, departures


def test_steps_that_begin_after_the_client_left_are_counted():
    found = departure("one", "call", [1.0, 2.0, 3.0, 4.5], gone=2.5)
    assert (found.steps, found.milliseconds) == (2, 2000.0)


def test_work_that_ends_with_its_client_did_nothing_after():
    found = departure("one", "stream", [1.0, 2.0], gone=2.5)
    assert (found.steps, found.milliseconds) == (0, 0.0)


@pytest.mark.parametrize("steps", [[], [3.0]])
def test_work_that_had_not_begun_tells_nothing(steps):
    with pytest.raises(ValueError, match="before its work"):
        departure("one", "call", steps, gone=2.5)


def test_the_table_shows_the_median_client_and_the_worst():
    found = [
        Departure(server="one", kind="call", steps=steps, milliseconds=10.0 * steps) for steps in (1, 2, 9)
    ]
    cells = [cell.strip() for cell in departures(found).splitlines()[-1].strip("|").split("|")]
    assert cells == ["call: one", "2", "9", "20", "90", "3"]
