"""Jobs over HTTP."""

import asyncio
import json

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from chutes.errors import DefinitionError
from chutes.testing import AsyncTestClient, TestClient


class Item(BaseModel):
    text: str
    count: int = 1


@pytest.fixture
def gate():
    return asyncio.Event()


@pytest.fixture
def chute(chute, gate):
    @chute.job(retry_count=0)
    async def report(self, item: Item, title: str = "none") -> dict:
        """Write a report.

        At length.
        """
        self.logger.warning("Writing %s.", title)
        return {"title": title, "items": item.count}

    @chute.job(name="wait-here", retry_count=0)
    async def wait(self):
        await self.jobs.current.progress(0.5, "half")
        await gate.wait()
        return "waited"

    @chute.job(retry_count=0)
    async def broken(self):
        raise KeyError("broken")

    @chute.cord("/order")
    async def order(self, text: str):
        run = await self.jobs.submit(report, item=Item(text=text, count=3), title="ordered")
        return await run.result(timeout=30)

    return chute


async def ended(client, response):
    """The run of a 202, once it has ended."""
    async with asyncio.timeout(30):
        while True:
            run = (await client.get(response.headers["location"])).json()
            if run["finished_at"]:
                return run
            await asyncio.sleep(0.01)


async def test_a_run_is_accepted_and_its_result_is_there_when_it_has_ended(chute):
    async with AsyncTestClient(chute) as client:
        accepted = await client.post("/jobs/report", json={"item": {"text": "a", "count": 2}, "title": "t"})
        body = accepted.json()
        assert accepted.status_code == 202
        assert accepted.headers["location"] == f"/jobs/report/{body['id']}"
        assert (body["job"], body["status"], body["attempts"]) == ("report", "queued", 0)
        assert body["arguments"] == {"item": {"text": "a", "count": 2}, "title": "t"}
        run = await ended(client, accepted)
        assert (run["status"], run["result"], run["attempts"]) == ("succeeded", {"title": "t", "items": 2}, 1)
        assert run["created_at"] <= run["started_at"] <= run["finished_at"]
        assert run["created_at"].endswith("Z")


async def test_a_cord_submits_and_waits(chute):
    async with AsyncTestClient(chute) as client:
        answer = await client.post("/order", json={"text": "a"})
        assert answer.json() == {"title": "ordered", "items": 3}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"item": 1}', "Input should be an object"),
        (b'{"text": "a"}', '"loc":["body","item"],"msg":"Field required"'),
        (b"[1]", "The body is a JSON list. Job 'report' takes an object of its arguments by name"),
        (b"{", "The body is no JSON"),
        (b"", "Field required"),
        (b'{"item": {"text": "a"}, "more": 1}', "Extra inputs are not permitted"),
    ],
)
async def test_arguments_that_do_not_fit_are_422(chute, body, said):
    async with AsyncTestClient(chute) as client:
        refused = await client.post("/jobs/report", content=body)
        assert refused.status_code == 422
        assert said in refused.text
        assert (await client.get("/jobs/report")).json() == {"runs": [], "cursor": None}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/jobs/nothing", 404),
        ("GET", "/jobs/nothing", 404),
        ("GET", "/jobs/report/nothing", 404),
        ("GET", "/jobs/report/nothing/events", 404),
        ("DELETE", "/jobs/report/nothing", 404),
        ("POST", "/jobs/report/nothing/retry", 404),
        ("GET", "/jobs/report?status=done", 422),
        ("GET", "/jobs/report?limit=0", 422),
        ("GET", "/jobs/report?limit=many", 422),
        ("POST", "/jobs/wait-here?delay=soon", 422),
        ("POST", "/jobs/wait-here?delay=-1", 422),
        ("POST", "/jobs/wait-here?priority=x", 422),
        ("PUT", "/jobs/report", 405),
    ],
)
async def test_what_cannot_be_is_said(chute, method, path, status):
    async with AsyncTestClient(chute) as client:
        answer = await client.request(method, path)
        assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


async def test_an_unknown_job_is_told_the_name_that_is_near(chute):
    async with AsyncTestClient(chute) as client:
        answer = await client.post("/jobs/reprot", json={})
        assert answer.json() == {"detail": "There is no job 'reprot'. Did you mean 'report'?"}


async def test_a_key_stands_for_one_run(chute):
    async with AsyncTestClient(chute) as client:
        headers = {"Idempotency-Key": "k"}
        calls = [
            client.post("/jobs/report", json={"item": {"text": "a"}}, headers=headers) for _ in range(10)
        ]
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [202]
        assert len({answer.json()["id"] for answer in answers}) == 1
        other = await client.post("/jobs/report", json={"item": {"text": "b"}}, headers=headers)
        assert other.status_code == 409
        assert "Choose another key, or send the same arguments" in other.json()["detail"]
        too_long = await client.post("/jobs/report", json={}, headers={"Idempotency-Key": "k" * 256})
        assert too_long.status_code == 422


async def test_runs_are_listed_page_by_page_the_newest_first(chute, gate):
    async with AsyncTestClient(chute) as client:
        gate.set()
        ids = [(await client.post("/jobs/wait-here")).json()["id"] for _ in range(5)]
        pages, cursor = [], ""
        while cursor is not None:
            page = (
                await client.get(
                    f"/jobs/wait-here?limit=2&cursor={cursor}" if cursor else "/jobs/wait-here?limit=2"
                )
            ).json()
            pages.append([run["id"] for run in page["runs"]])
            cursor = page["cursor"]
        assert sum(pages, []) == ids[::-1]  # noqa: RUF017 - five
        assert (await client.get("/jobs/wait-here?status=failed")).json()["runs"] == []


async def test_a_run_is_cancelled(chute):
    async with AsyncTestClient(chute) as client:
        running = await client.post("/jobs/wait-here")
        async with asyncio.timeout(30):
            while (await client.get(running.headers["location"])).json()["progress"] is None:
                await asyncio.sleep(0.01)
        told = await client.delete(running.headers["location"])
        # The function may have let itself be cancelled before the answer was written.
        assert told.status_code == (202 if told.json()["status"] == "running" else 200)
        assert (await ended(client, running))["status"] == "cancelled"
        late = await client.post("/jobs/wait-here?delay=3600")
        over = await client.delete(late.headers["location"])
        assert (over.status_code, over.json()["status"]) == (200, "cancelled")


async def test_a_failed_run_is_queued_again_and_no_other(chute):
    async with AsyncTestClient(chute) as client:
        failed = await client.post("/jobs/broken")
        run = await ended(client, failed)
        assert (run["status"], run["attempts"]) == ("failed", 1)
        assert run["failed_attempts"][0]["error"] == run["error"]
        assert "KeyError: 'broken'" in run["error"]
        again = await client.post(f"{failed.headers['location']}/retry")
        assert (again.status_code, again.json()["max_attempts"]) == (202, 2)
        good = await client.post("/jobs/report", json={"item": {"text": "a"}})
        await ended(client, good)
        refused = await client.post(f"{good.headers['location']}/retry")
        assert (refused.status_code, "is succeeded; only a failed" in refused.text) == (409, True)


def parsed(text):
    """The events of a stream: kind, id and data."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if "event" in fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


async def test_a_run_is_followed_to_its_end_and_resumed(chute, gate):
    async with AsyncTestClient(chute) as client:
        accepted = await client.post("/jobs/report", json={"item": {"text": "a"}, "title": "bees"})
        await ended(client, accepted)
        response = await client.get(f"{accepted.headers['location']}/events")
        assert response.headers["content-type"].startswith("text/event-stream")
        events = parsed(response.text)
        assert [(kind, data.get("message") or data["status"]) for kind, _, data in events] == [
            ("log", "Writing bees."),
            ("state", "succeeded"),
        ]
        resumed = await client.get(
            f"{accepted.headers['location']}/events", headers={"Last-Event-ID": events[0][1]}
        )
        assert [kind for kind, _, _ in parsed(resumed.text)] == ["state"]
        nothing = await client.get(
            f"{accepted.headers['location']}/events", headers={"Last-Event-ID": events[1][1]}
        )
        assert parsed(nothing.text) == []


async def test_progress_is_followed_while_it_is_made(chute, gate):
    async with AsyncTestClient(chute) as client, asyncio.timeout(30):
        accepted = await client.post("/jobs/wait-here")
        seen = ""
        async with client.stream("GET", f"{accepted.headers['location']}/events") as response:
            async for text in response.aiter_text():
                seen += text
                if '"half"' in seen:
                    gate.set()
        last = parsed(seen)[-1]
        assert (last[0], last[2]["status"], last[2]["result"]) == ("state", "succeeded", "waited")


async def test_the_jobs_are_listed(chute):
    async with AsyncTestClient(chute) as client:
        jobs = (await client.get("/jobs")).json()["jobs"]
    assert [job["name"] for job in jobs] == ["report", "wait-here", "broken"]
    assert jobs[0]["description"] == "Write a report."


def test_the_document_has_each_job_with_its_own_schema(chute):
    with TestClient(chute) as client:
        document = client.get("/openapi.json").json()
    validate(document)
    operation = document["paths"]["/jobs/report"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert (schema["title"], schema["required"]) == ("ReportArguments", ["item"])
    assert operation["description"] == "Write a report.\n\nAt length."
    assert {"/jobs", "/jobs/wait-here", "/jobs/{name}/{id}/events"} <= set(document["paths"])


def test_a_chute_without_jobs_has_no_such_routes_and_no_database(chute, tmp_path):
    from support.serving import new_chute

    with TestClient(new_chute()) as client:
        assert client.get("/jobs").status_code == 404
        assert "/jobs" not in client.get("/openapi.json").json()["paths"]
    assert not (tmp_path / "chutes-home").exists()


def test_jobs_need_the_key_too(chute, monkeypatch):
    monkeypatch.setenv("CHUTES_API_KEYS", "secret-key-0123456789")
    with TestClient(chute) as client:
        assert client.get("/jobs").status_code == 401
        assert client.post("/jobs/broken").status_code == 401
        assert client.get("/jobs", headers={"X-API-Key": "secret-key-0123456789"}).status_code == 200


def test_a_job_that_cannot_be_described_is_refused(chute):
    class Own: ...

    @chute.job()
    async def odd(self, value: Own): ...

    with pytest.raises(DefinitionError, match="Job 'odd' takes what no JSON holds"), TestClient(chute):
        pass
