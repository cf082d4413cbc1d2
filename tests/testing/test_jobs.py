"""Jobs of a chute under test: they run, and leave nothing behind."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from chutes import Chute
from chutes.testing import AsyncTestClient, TestClient, wait_until


@pytest.fixture
def chute():
    chute = Chute(username="me", name="notes", image="python:3.11")

    @chute.job()
    async def note(self, text: str) -> str:
        return text.upper()

    @chute.job()
    def count(self, text: str) -> int:
        return len(text)

    @chute.cord("/note")
    async def order(self, text: str) -> str:
        run = await self.jobs.submit("note", text=text)
        return await run.result(timeout=60)

    return chute


@pytest.fixture
def home(monkeypatch, tmp_path):
    """The home of a developer who has set nothing."""
    monkeypatch.delenv("CHUTES_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def ended(client, place):
    run = client.get(place).json()
    return run if run["finished_at"] else None


@pytest.mark.parametrize(("job", "result"), [("note", "BEE"), ("count", 3)])
def test_a_job_runs_in_a_test_and_leaves_nothing_in_the_home(chute, home, job, result):
    with TestClient(chute) as client:
        place = client.post(f"/jobs/{job}", json={"text": "bee"}).headers["location"]
        run = wait_until(lambda: ended(client, place), 60)

    assert run["result"] == result
    assert not home.exists()


def test_each_client_begins_without_runs(chute, home):
    for _ in range(2):
        with TestClient(chute) as client:
            assert client.get("/jobs/note").json()["runs"] == []
            assert client.post("/note", json={"text": "bee"}).json() == "BEE"


async def test_an_asynchronous_client_keeps_them_apart_too(chute, home):
    async with AsyncTestClient(chute) as client:
        run = await chute.jobs.submit("note", text="bee")
        async with asyncio.timeout(60):
            assert await run.result() == "BEE"
        assert (await client.get("/jobs/note")).json()["runs"][0]["id"] == run.id

    assert not home.exists()


def test_a_home_that_is_set_keeps_the_runs(chute, monkeypatch, tmp_path):
    with TestClient(chute):
        pass
    monkeypatch.setenv("CHUTES_HOME", str(tmp_path / "kept"))

    for _ in range(2):
        with TestClient(chute) as client:
            client.post("/jobs/note", json={"text": "bee"}).raise_for_status()

    database = sqlite3.connect(Path(tmp_path / "kept/jobs/me.notes.db"))
    try:
        assert database.execute("SELECT count(*) FROM chutes_runs").fetchone() == (2,)
    finally:
        database.close()
