"""Jobs of a running chute, over real sockets."""

import asyncio
import json
from contextlib import closing

import pytest

from chutes import Chute
from chutes.client import AsyncClient, Client, FakeClock
from chutes.errors import CallRejected, ConnectionFailed, JobCancelled, JobFailed
from support.http_servers import asgi_server, http_answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
RUN = {"id": "r1", "job": "report", "status": "queued", "cancel_requested": False, "result": None}


def reports():
    chute = Chute(username="me", name="reports", image="python:3.12")

    @chute.job()
    async def report(self, title: str, pages: int = 1) -> dict:
        await self.jobs.current.progress(0.5, "half")
        self.logger.warning("About %s.", title)
        return {"title": title, "pages": pages}

    @chute.job(retry_count=0)
    async def broken(self):
        raise ValueError("no paper")

    @chute.job()
    async def endless(self):
        await asyncio.sleep(600)

    return chute


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHUTES_HOME", str(tmp_path_factory.mktemp("home")))
        with asgi_server(reports(), lifespan="on") as address:
            yield address


@pytest.fixture
def chute(url):
    with Client(url) as client:
        yield client


def test_a_run_gives_its_result(chute):
    run = chute.jobs.submit("report", title="Bees", pages=3)

    assert run.result(timeout=60) == {"title": "Bees", "pages": 3}
    assert run.status() == "succeeded"
    assert run.info()["arguments"] == {"title": "Bees", "pages": 3}


def test_a_key_gives_the_same_run_and_refuses_other_arguments(chute):
    first = chute.jobs.submit("report", key="june", title="June")

    assert chute.jobs.submit("report", key="june", title="June").id == first.id
    with pytest.raises(CallRejected, match="'june' belongs to run") as caught:
        chute.jobs.submit("report", key="june", title="July")
    assert caught.value.status == 409


def test_arguments_that_do_not_fit_are_rejected(chute):
    with pytest.raises(CallRejected, match="title: Field required"):
        chute.jobs.submit("report", titel="Bees")
    with pytest.raises(CallRejected, match="Did you mean 'report'"):
        chute.jobs.submit("reprot", title="Bees")


def test_arguments_of_any_name_go_as_a_mapping(chute):
    with pytest.raises(CallRejected, match="delay"):
        chute.jobs.submit_mapping("report", {"title": "Bees", "delay": 3})


def test_a_run_that_fails_raises_its_error(chute):
    run = chute.jobs.submit("broken")

    with pytest.raises(JobFailed, match="ValueError: no paper") as caught:
        run.result(timeout=60)
    assert caught.value.run_id == run.id


def test_a_run_can_be_cancelled_and_queued_again(chute):
    run = chute.jobs.submit("report", delay=3600, title="Later")

    assert run.cancel()
    with pytest.raises(JobCancelled):
        run.result(timeout=60)
    run.retry()
    assert run.result(timeout=60)["title"] == "Later"
    assert not run.cancel()
    with pytest.raises(CallRejected, match="only a failed or cancelled run"):
        run.retry()


def test_waiting_ends_after_its_time_and_the_run_goes_on(chute):
    run = chute.jobs.submit("report", delay=3600, title="Later")

    with pytest.raises(TimeoutError, match="is queued after"):
        run.result(timeout=0.01)
    run.cancel()


def test_events_tell_of_state_progress_and_log_lines(chute):
    events = list(chute.jobs.submit("report", title="Bees").events())

    assert {event.kind for event in events} >= {"state", "log"}
    assert [event.data["message"] for event in events if event.kind == "log"] == ["About Bees."]
    assert events[-1].data["status"] == "succeeded"


def test_a_run_is_found_by_its_id_alone(chute):
    run = chute.jobs.submit("report", title="Bees")

    found = chute.jobs.run(run.id)

    assert (found.id, found.job) == (run.id, "report")
    with pytest.raises(CallRejected, match="no run 'nothing' at the chute"):
        chute.jobs.run("nothing")


def test_jobs_and_runs_are_listed_and_purged(chute):
    run = chute.jobs.submit("broken")
    with pytest.raises(JobFailed):
        run.result(timeout=60)

    assert {job["name"] for job in chute.jobs.describe()} == {"report", "broken", "endless"}
    assert run.id in [one["id"] for one in chute.jobs.runs("broken", status="failed")]
    assert chute.jobs.runs("broken", status="failed", before=run.id, limit=1) != [run.info()]
    assert chute.jobs.purge("broken", older_than=3600) == 0
    assert chute.jobs.purge("broken", older_than=0) >= 1
    assert chute.jobs.runs("broken") == []


async def test_the_asynchronous_client_has_the_same(url):
    async with AsyncClient(url) as chute:
        run = await chute.jobs.submit("report", title="Bees")
        kinds = [event.kind async for event in run.events()]
        assert kinds[-1] == "state"
        assert await run.result(timeout=60) == {"title": "Bees", "pages": 1}
        assert (await (await chute.jobs.run(run.id)).info())["id"] == run.id

        endless = await chute.jobs.submit("endless")
        with pytest.raises(TimeoutError):
            await endless.result(timeout=0.01)
        assert await endless.cancel()
        with pytest.raises(JobCancelled):
            await endless.result(timeout=60)
        await endless.retry()
        await endless.cancel()
        assert {job["name"] for job in await chute.jobs.describe()} == {"report", "broken", "endless"}
        assert run.id in [one["id"] for one in await chute.jobs.runs("report")]
        assert await chute.jobs.purge("report", older_than=3600) == 0


def event(kind, identity, **data):
    return f"event: {kind}\nid: {identity}\ndata: {json.dumps(data)}\n\n".encode()


def submitted():
    return http_answer(202, json.dumps(RUN).encode(), Content_Type="application/json")


def test_events_go_on_where_the_connection_broke(scripted):
    chunked = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    begun = event("state", "0:a", **RUN | {"status": "running"})
    cut_off = chunked + f"{len(begun):x}\r\n".encode() + begun + b"\r\n"
    ended = HEAD + event("state", "7:b", **RUN | {"status": "succeeded"})
    server = scripted(submitted(), cut_off, ended)
    clock = FakeClock()

    with Client(server.url, clock=clock) as chute, closing(chute.jobs.submit("report").events()) as events:
        statuses = [one.data["status"] for one in events]

    assert statuses == ["running", "succeeded"]
    assert b"last-event-id: 0:a" in server.requests[-1].lower()
    assert clock.sleeps == [0.5]


def test_events_of_a_chute_that_is_gone_are_an_error(unused_url):
    with Client(unused_url, retries=0) as chute, pytest.raises(ConnectionFailed):
        chute.jobs.submit("report")
