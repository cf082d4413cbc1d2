"""The tables of job engines, and the measurement of one."""

import asyncio
import json
import sys

import pytest
from benchmarks.environments import requirements, version_of
from benchmarks.job_engines import measure
from benchmarks.job_samples import ENGINES, Claim, Databases, JobSample, Rerun, claimed
from benchmarks.jobs import claims, rates, reruns


def sample(engine: str, runs: float) -> JobSample:
    return JobSample(
        engine=engine, store="SQLite", runs=runs, submits=2000, alone=300, p50=2, p99=9, cpu=0.3, foreign=0.2
    )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_shows_medians_and_how_often_chutes_is_each_engine():
    text = rates("SQLite", [sample("chutes", 1000), sample("chutes", 3000), sample("Huey", 500)])

    head, _, ours, huey = map(cells, text.splitlines())
    assert dict(zip(head, ours, strict=True))["runs/s"] == "2,000"
    assert dict(zip(head, ours, strict=True))["best"] == "3,000"
    assert dict(zip(head, huey, strict=True))["chutes / it"] == "4.0"


def test_what_was_not_measured_has_no_table():
    assert rates("PostgreSQL", [sample("chutes", 1000)]) == ""
    assert reruns([]) == claims([]) == ""


def test_a_run_that_never_came_back_is_said_to_be_so():
    lost = Rerun(engine="Huey", store="SQLite", how="started again", again=0, first=None, last=None)
    assert cells(reruns([lost]).splitlines()[-1]) == [
        "Huey, SQLite",
        "started again",
        "0 of 4",
        "never",
        "never",
    ]
    assert "1,000,000" in claims([Claim(store="SQLite", rows=1_000_000, p50=1, p99=2)])


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: f"{engine.name} {engine.store}")
def test_each_engine_has_a_program_and_a_pinned_version(engine):
    assert version_of(engine.environment, engine.package)
    program = requirements(engine.environment).parent.parent / "job_engines" / f"{engine.program}.py"
    assert program.exists()


class Immediate:
    """An engine that runs everything at once."""

    def __init__(self, where: str, seen: measure.Seen) -> None:
        self._seen = seen
        self._works = False
        self._queue: list[int] = []

    async def open(self) -> None:
        pass

    async def work(self) -> None:
        self._works = True
        for number in self._queue:
            self._seen.begun(number)

    async def submit(self, number: int, seconds: float) -> None:
        await asyncio.sleep(0)
        if self._works:
            self._seen.begun(number)
        else:
            self._queue.append(number)

    async def unfinished(self) -> int:
        return 0

    async def close(self) -> None:
        pass


def test_every_figure_of_an_engine_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["program", "measure", "nowhere", "0.05"])
    monkeypatch.setattr(measure, "_STARTS", 3)

    measure.main(Immediate)

    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"runs", "submits", "alone", "p50", "p99", "cpu"}
    assert found["runs"] > 0
    assert 0 <= found["p50"] <= found["p99"]


def test_claims_are_timed_beside_ended_runs(tmp_path):
    found = claimed("SQLite", 100, sys.executable, Databases(tmp_path, None))

    assert (found.store, found.rows) == ("SQLite", 100)
    assert found.p50 > 0
    assert not list(tmp_path.glob("*.db"))
