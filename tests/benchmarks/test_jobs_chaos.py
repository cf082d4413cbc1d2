"""Processes that are killed, and a disk that fills up, lose nothing that was accepted."""

import contextlib
import subprocess
from pathlib import Path

import pytest
from benchmarks.jobs_chaos import Outcome, chaos, full_disk, small_disk

from support.require import require

KEPT = Outcome(
    troubles=20, accepted=5000, refused=9, lost=0, interrupted=40, twice=50, recorded_twice=0, over=0
)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_in_sqlite(tmp_path):
    outcome = chaos(str(tmp_path / "jobs.db"), tmp_path, seconds=10)
    assert outcome.troubles > 0
    assert outcome.accepted > 0
    assert (outcome.lost, outcome.over, outcome.recorded_twice) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_disk_that_fills_up_refuses_and_loses_nothing(tmp_path: Path):
    with contextlib.ExitStack() as stack:
        disk = None
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            disk = stack.enter_context(small_disk(tmp_path / "disk"))
        require(disk, "No file system can be mounted in here.")
        outcome = chaos(str(disk / "jobs.db"), tmp_path, 8, full_disk(disk))
    assert outcome.troubles > 0
    assert outcome.accepted > 0
    assert (outcome.lost, outcome.over, outcome.recorded_twice) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_while_the_clock_jumps(tmp_path):
    outcome = chaos(
        str(tmp_path / "jobs.db"), tmp_path, seconds=8, trouble=lambda _: None, more=["--jumping"]
    )
    assert outcome.troubles > 0
    assert outcome.accepted > 0
    assert (outcome.lost, outcome.over, outcome.twice, outcome.recorded_twice) == (0, 0, 0, 0)


def test_promises_are_kept_or_not():
    assert KEPT.promises_kept
    for broken in ({"lost": 1}, {"over": 1}, {"twice": 51}, {"recorded_twice": 1}):
        values = {name: getattr(KEPT, name) for name in Outcome.__slots__} | broken
        assert not Outcome(**values).promises_kept
