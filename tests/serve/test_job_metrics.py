"""`/metrics` of a chute with jobs: what ended, how long it took, what waits."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chutes import Chute
from chutes.errors import StoreError
from chutes.jobs.memory import Memory
from chutes.serve.probes import probe_answers
from chutes.testing import TestClient, wait_until

DATABASE_UP = ("chutes_jobs_database_up",)


class FlakyMemory(Memory):
    """A database that can be away, or not answer."""

    trouble = ""

    async def run(self, *steps, write=True):
        if self.trouble == "away":
            raise StoreError("The jobs database is away.")
        if self.trouble == "silent":
            await asyncio.Event().wait()
        return await super().run(*steps, write=write)


@pytest.fixture
def chute():
    chute = Chute(username="me", name="reports", image="python:3.12")

    @chute.job(retry_count=1)
    async def report(self, title: str) -> str:
        if not title:
            raise ValueError("no title")
        return title

    @chute.job(schedule="0 0 1 1 *")
    async def tidy(self):
        return None

    return chute


def read(text):
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("le") in (None, "+Inf")
    }


def metrics(client):
    response = client.get("/metrics")
    assert response.status_code == 200
    return read(response.text)


def metrics_of_the_database(client):
    """What `/metrics` says once the database answered in time: a busy machine may miss it once."""
    return wait_until(lambda: (found := metrics(client))[DATABASE_UP] and found, 60)


def run_to_the_end(client, **arguments):
    place = client.post("/jobs/report", json=arguments).headers["location"]
    wait_until(lambda: client.get(place).json()["finished_at"], 60)


def test_runs_are_counted_by_how_they_ended(chute):
    with TestClient(chute) as client:
        run_to_the_end(client, title="Bees")
        run_to_the_end(client, title="Wasps")
        run_to_the_end(client, title="")
        found = metrics_of_the_database(client)

    assert found["chutes_job_runs_total", "report", "succeeded"] == 2
    assert found["chutes_job_runs_total", "report", "failed"] == 1
    assert found["chutes_job_retries_total", "report"] == 1
    assert found["chutes_job_retries_total", "tidy"] == 0
    assert found["chutes_job_duration_seconds_count", "report"] == 4
    assert found["chutes_job_start_delay_seconds_count", "report"] == 4
    assert found["chutes_job_ticks_skipped_total", "tidy"] == 0


def test_a_run_that_is_cancelled_while_it_waits_is_counted(chute):
    with TestClient(chute) as client:
        place = client.post("/jobs/report?delay=3600", json={"title": "later"}).headers["location"]
        for _ in range(2):
            assert client.delete(place).json()["status"] == "cancelled"
        found = metrics(client)

    assert found["chutes_job_runs_total", "report", "cancelled"] == 1
    assert ("chutes_job_duration_seconds_count", "report") not in found


def test_what_waits_is_read_from_the_database(chute):
    with TestClient(chute) as client:
        for _ in range(3):
            client.post("/jobs/report?delay=3600", json={"title": "later"}).raise_for_status()
        found = metrics_of_the_database(client)

    assert found["chutes_jobs_queued", "report"] == 3
    assert found["chutes_jobs_queued", "tidy"] == 0
    assert found["chutes_jobs_running", "report"] == 0


@pytest.mark.parametrize("trouble", ["away", "silent"])
def test_metrics_are_answered_while_the_database_is_not(chute, trouble):
    database = FlakyMemory()
    background = chute.app.served.background
    background.runs_here = False
    with TestClient(chute) as client:
        background.keep_in(database)
        metrics_of_the_database(client)
        database.trouble = trouble
        found = metrics(client)

    assert found[DATABASE_UP] == 0
    assert ("chutes_jobs_queued", "report") not in found
    assert found["chutes_job_retries_total", "report"] == 0


def test_the_probe_port_shows_them_too(chute):
    with TestClient(chute) as client:
        client.post("/jobs/report?delay=3600", json={"title": "later"}).raise_for_status()
        probes = probe_answers(chute.app.served)

        def queued():
            return read(probes("GET", "/metrics").body.decode()).get(("chutes_jobs_queued", "report"))

        assert wait_until(queued, 60) == 1


def test_a_chute_without_jobs_shows_none():
    with TestClient(Chute(username="me", name="none", image="python:3.12")) as client:
        assert "chutes_job" not in client.get("/metrics").text
