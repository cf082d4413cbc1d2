from benchmarks.comparisons import COMPARISONS
from benchmarks.everything import PLAN

from support.pages import ROOT

# Those of jobs and of language models are taken one by one.
OTHERS = {"startup", "overload", "disconnect", "instructions"}


def test_the_command_for_all_tables_takes_every_table_of_requests():
    assert {part.table for part in PLAN} == COMPARISONS.keys() | OTHERS


def test_each_of_them_has_its_place_on_the_page():
    page = (ROOT / "docs" / "benchmarks.md").read_text().splitlines()
    assert {f"### {part.title}" for part in PLAN} <= set(page)
