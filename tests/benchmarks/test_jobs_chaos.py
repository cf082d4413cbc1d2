"""Processes that are killed at random lose nothing that they accepted."""

import pytest
from benchmarks.jobs_chaos import Outcome, chaos


@pytest.mark.slow
def test_nothing_is_lost_in_sqlite(tmp_path):
    outcome = chaos(str(tmp_path / "jobs.db"), tmp_path, seconds=10)
    assert outcome.kills > 0
    assert outcome.accepted > 0
    assert (outcome.lost, outcome.over) == (0, 0)


def test_promises_are_kept_or_not():
    kept = Outcome(kills=20, accepted=5000, lost=0, interrupted=40, twice=50, over=0)
    assert kept.promises_kept
    for broken in ({"lost": 1}, {"over": 1}, {"twice": 51}):
        values = {name: getattr(kept, name) for name in Outcome.__slots__} | broken
        assert not Outcome(**values).promises_kept
