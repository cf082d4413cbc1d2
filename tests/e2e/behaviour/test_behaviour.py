"""A chute behaves the same under `chutes run` and on a Ray cluster."""

import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from support.chute_process import SECONDS

KEY = "a-key-for-this-test"


def post(served, path, **fields):
    with served.client() as client:
        return client.post(path, json=fields)


def test_a_cord_answers_with_json(chute):
    response = post(chute, "/order", item="tea", amount=2)
    assert response.status_code == 200
    assert {**response.json(), "pid": 0} == {"item": "TEA", "amount": 2, "pid": 0}
    assert post(chute, "/in-a-thread", text="abc").json() == "cba"


def test_a_picture_is_sent_as_it_is(chute):
    with chute.client() as client:
        response = client.get("/picture")
    assert (response.headers["content-type"], response.content) == ("image/png", b"\x89PNG")


def test_wrong_input_is_told(chute):
    response = post(chute, "/order", amount="many")
    assert response.status_code == 422
    assert {tuple(one["loc"]) for one in response.json()["detail"]} == {("body", "item"), ("body", "amount")}


def test_unknown_paths_and_methods_are_told(chute):
    with chute.client() as client:
        assert client.get("/nowhere").status_code == 404
        wrong = client.get("/order")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_an_error_of_the_code_shows_its_request_and_nothing_of_the_code(chute):
    response = post(chute, "/wrong")
    assert response.status_code == 500
    assert response.json() == {
        "detail": "Internal Server Error",
        "request_id": response.headers["x-request-id"],
    }


def test_events_come_one_by_one(chute):
    with chute.client() as client, client.stream("POST", "/events", json={"count": 3}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        found = [
            json.loads(line.removeprefix("data: "))
            for line in response.iter_lines()
            if line.startswith("data: {")
        ]
    assert found == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_an_error_in_a_stream_of_events_is_one_of_them(chute):
    text = post(chute, "/events", count=1, fail=True).text
    assert "event: error" in text
    assert "a secret of the code" not in text


def test_each_request_has_one_id(chute):
    with chute.client() as client:
        given = client.post("/order", json={"item": "x"}, headers={"X-Request-ID": "my-own-id"})
        made_up = [client.post("/order", json={"item": "x"}) for _ in range(2)]
    assert given.headers.get_list("x-request-id") == ["my-own-id"]
    ids = [one for response in made_up for one in response.headers.get_list("x-request-id")]
    assert len(set(ids)) == len(ids) == 2


def test_a_websocket_talks(chute):
    address = chute.url.replace("http://", "ws://")
    with connect(f"{address}/talk", proxy=None) as socket:
        for word in ("one", "two"):
            socket.send(word)
            assert socket.recv() == word.upper()


def test_a_stream_whose_client_leaves_is_over(chute):
    with chute.client() as client, client.stream("POST", "/words", json={"name": "leaver"}) as response:
        assert next(response.iter_lines()) == "0"
    chute.wait_until(lambda: "words of leaver are over" in chute.noted())


def test_a_call_whose_client_leaves_is_cancelled(chute):
    with ExitStack() as stack:
        connection = stack.enter_context(raw(chute, "/hold", name="leaver"))
        chute.wait_until(lambda: "hold leaver" in chute.noted())
        connection.close()
    chute.wait_until(lambda: "cancelled leaver" in chute.noted())


def test_what_is_too_much_is_refused_with_the_time_to_come_back(chute):
    names = ["a", "b", "c"]
    with ThreadPoolExecutor(len(names)) as threads:
        held = [threads.submit(post, chute, "/hold", name=name) for name in names]
        # Two run, and the third waits: no other has a place.
        chute.wait_until(lambda: gauge(chute, "running") == 2 and gauge(chute, "waiting") == 1)
        refused = post(chute, "/hold", name="d")
        for name in names:
            chute.note(f"release {name}")
        answers = [one.result(SECONDS) for one in held]
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["detail"].startswith("The chute is busy: 2 calls run and 1 wait.")
    assert [one.json() for one in answers] == names


def test_probes_metrics_and_pages_answer(chute):
    with chute.client() as client:
        for path in ("/livez", "/readyz", "/health", "/metrics", "/docs", "/openapi.json"):
            response = client.get(path)
            assert response.status_code == 200, path
        assert "/order" in client.get("/openapi.json").json()["paths"]
        page = client.get("/docs").text
        assert "openapi.json" in page
        script = page.partition('<script src="')[2].partition('"')[0]
        assert client.get(chute.url.partition("/me/")[0] + script).status_code == 200


def test_a_job_is_done(chute):
    with chute.client() as client:
        run = client.post("/jobs/work", json={"number": 21})
        assert run.status_code == 202
        # The location has the prefix that a proxy put before the path.
        where = run.headers["location"]
        path = where if where.startswith("http") else chute.url.partition("/me/")[0] + where
        chute.wait_until(lambda: client.get(path).json()["status"] == "succeeded")
        assert client.get(path).json()["result"] == 42


def test_keys_open_what_is_closed(place):
    with place.serve("closed", CHUTES_API_KEYS=KEY) as chute, chute.client() as client:
        assert client.post("/order", json={"item": "x"}).status_code == 401
        with_key = client.post("/order", json={"item": "x"}, headers={"Authorization": f"Bearer {KEY}"})
        assert with_key.status_code == 200
        assert client.get("/readyz").status_code == 200


# Under `chutes run` the tests of the job store show the same, without the wait for a minute to begin.
@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", [pytest.param("ray", marks=pytest.mark.ray)], indirect=True)
def test_two_instances_share_one_schedule_and_each_runs_its_hooks_once(place, postgres):
    with place.serve("shared", instances=2, CHUTES_DATABASE_URL=postgres.url()) as chute:
        chute.wait_until(lambda: len(words(chute, "begin")) == 2)
        # A minute begins while both are there, and its tick comes once.
        chute.wait_until(lambda: words(chute, "tick"), seconds=150)
        time.sleep(1)
        assert set(Counter(words(chute, "tick")).values()) == {1}
        assert words(chute, "end") == []
    begun, ended = words(chute, "begin"), words(chute, "end")
    chute.wait_until(lambda: len(words(chute, "end")) == 2)
    assert sorted(begun) == sorted(words(chute, "end")), ended
    assert len(set(begun)) == 2


def words(chute, kind):
    """What was noted behind this word, the first word of it."""
    return [line.split()[1] for line in chute.noted() if line.split()[0] == kind]


def gauge(chute, name):
    with chute.client() as client:
        text = client.get("/metrics").text
    return next(
        int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(f"chutes_{name} ")
    )


def raw(chute, path, **fields):
    """A call on a connection of its own, whose answer nobody reads."""
    address, body = urlsplit(chute.url), json.dumps(fields).encode()
    connection = socket.create_connection((address.hostname, address.port), timeout=SECONDS)
    head = (
        f"POST {address.path}{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection
