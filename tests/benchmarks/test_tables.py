import pytest
from benchmarks.tables import table


def test_figures_stand_right_and_text_stands_left():
    assert table(["server", "req/s"], [["raw", "24,000"], ["a longer name", "7"]]).splitlines() == [
        "| server        |  req/s |",
        "| ------------- | -----: |",
        "| raw           | 24,000 |",
        "| a longer name |      7 |",
    ]


def test_a_row_that_lacks_a_cell_is_refused():
    with pytest.raises(ValueError, match="needs 2 cells"):
        table(["server", "req/s"], [["raw"]])
