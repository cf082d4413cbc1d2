"""Webhooks of a served chute: what is submitted with one tells it of its end."""

import json
import re
import signal

import pytest

from chutes.client import Client
from support.chute_process import reserved_port
from support.receiver import SECRET, receiver


@pytest.fixture
def variables(tmp_path):
    return {
        "CHUTES_HOME": str(tmp_path / "home"),
        "CHUTES_WEBHOOK_SECRET": SECRET,
        "CHUTES_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
    }


def submit(chute, job="work", url=None, status=202, **arguments):
    query = {} if url is None else {"webhook": url}
    with chute.client() as client:
        response = client.post(f"/jobs/{job}", json=arguments, params=query)
    assert response.status_code == status, response.text
    return response.headers.get("location") or response.json()


def run_at(chute, location):
    with chute.client() as client:
        return client.get(location).json()


def test_the_end_of_a_run_is_told_and_shown(serve, tmp_path, variables):
    with receiver(500, 204) as there, serve("apps/durable.py", **variables) as chute:
        location = submit(chute, url=there.url, folder=str(tmp_path), number=7)
        # The second attempt waits for ten seconds at most.
        chute.wait_until(lambda: run_at(chute, location)["webhook"]["status"] == "delivered", 90)
        run = run_at(chute, location)
        with chute.client() as client:
            metrics = client.get("/metrics").text
        messages = chute.messages

    assert run["webhook"]["url"] == there.url
    assert (run["webhook"]["attempts"], run["webhook"]["last_error"]) == (2, None)
    assert run["webhook"]["delivered_at"] > run["finished_at"]
    event = there.told[1].verified()
    assert (event["type"], event["timestamp"]) == ("job.succeeded", run["finished_at"])
    assert event["data"] == {name: value for name, value in run.items() if name != "webhook"}
    assert len({told.id for told in there.told}) == 1
    assert 'chutes_job_webhooks_total{job="work",outcome="retried"} 1.0' in metrics
    assert 'chutes_job_webhooks_total{job="work",outcome="delivered"} 1.0' in metrics
    assert any(re.search("is followed by another: the receiver answered 500", text) for text in messages)


def test_a_run_that_is_cancelled_tells_that(serve, tmp_path, variables):
    with receiver(204) as there, serve("apps/durable.py", **variables) as chute:
        location = submit(chute, url=there.url, folder=str(tmp_path), number=1, seconds=600)
        with chute.client() as client:
            client.delete(location)
        chute.wait_until(lambda: there.told, 60)
        event = there.told[0].verified()

    assert (event["type"], event["data"]["status"]) == ("job.cancelled", "cancelled")


def test_a_receiver_that_was_down_is_told_by_the_next_process(serve, tmp_path, variables):
    with reserved_port() as port:
        with serve("apps/durable.py", **variables) as chute:
            location = submit(chute, url=f"http://127.0.0.1:{port}/hooks", folder=str(tmp_path), number=3)
            chute.wait_until(lambda: run_at(chute, location)["webhook"]["attempts"], 60)
            chute.wait_until(lambda: run_at(chute, location)["webhook"]["last_error"], 60)
            assert "ConnectError" in run_at(chute, location)["webhook"]["last_error"]
            chute.stop(signal.SIGKILL)
        with receiver(204, port=port) as there, serve("apps/durable.py", **variables) as chute:
            chute.wait_until(lambda: there.told, 90)
            chute.wait_until(lambda: run_at(chute, location)["webhook"]["status"] == "delivered", 60)

    assert there.told[0].verified()["data"]["result"] == 3


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("ftp://example.com/", "begins with https://"),
        ("https://me:secret@example.com/", "user or a password"),
        ("http://localhost/hooks", "CHUTES_WEBHOOK_ALLOW_PRIVATE"),
        ("http://169.254.169.254/latest", "CHUTES_WEBHOOK_ALLOW_PRIVATE"),
        ("", "text of 1 to 2048"),
    ],
)
def test_what_may_not_be_told_is_refused(module_chute, url, text):
    answer = submit(module_chute, url=url, status=422, folder="/tmp", number=1)

    assert text in answer["message"]
    assert "secret" not in json.dumps(answer).replace("CHUTES_WEBHOOK_SECRET", "")


@pytest.fixture(scope="module")
def module_chute(module_serve, tmp_path_factory):
    home = str(tmp_path_factory.mktemp("home"))
    with module_serve("apps/durable.py", CHUTES_HOME=home, CHUTES_WEBHOOK_SECRET=SECRET) as chute:
        yield chute


def test_without_a_secret_a_webhook_is_refused(serve, tmp_path):
    with serve("apps/durable.py", CHUTES_HOME=str(tmp_path / "home")) as chute:
        answer = submit(chute, url="https://example.com/", status=422, folder="/tmp", number=1)
        location = submit(chute, folder=str(tmp_path), number=1)

        assert "chutes keys webhook" in answer["message"]
        assert run_at(chute, location)["webhook"] is None


def test_the_client_submits_with_a_webhook(serve, tmp_path, variables):
    with receiver(204) as there, serve("apps/durable.py", **variables) as chute:
        with Client(chute.url) as client:
            url = there.url + "?a=1&b=%20"
            run = client.jobs.submit("work", folder=str(tmp_path), number=5, webhook=url)
            assert run.result(60) == 5
            assert run.info()["webhook"]["url"] == url
        chute.wait_until(lambda: there.told, 60)

    assert there.told[0].path == "/hooks?a=1&b=%20"
    assert there.told[0].verified()["data"]["id"] == run.id


def test_a_job_has_a_webhook_of_its_own(program, variables):
    source = """
from chutes import Chute

chute = Chute(username="me", name="own", image="python:3.11")

@chute.job(webhook="URL")
async def report(self):
    return "done"
"""
    with receiver(204) as there, receiver(204) as other:
        program.write(source.replace("URL", there.url))
        with program.start("app.py", **variables) as chute:
            assert run_at(chute, submit(chute, "report"))["webhook"]["url"] == there.url
            submit(chute, "report", url=other.url)
            chute.wait_until(lambda: there.told and other.told, 60)

    assert (len(there.told), len(other.told)) == (1, 1)
    assert there.told[0].verified()["data"]["result"] == "done"
