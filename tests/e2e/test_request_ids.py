"""Every answer has the id of its request, and so has each line that is logged meanwhile."""

import asyncio
import json
import re

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

OWN = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/told.py") as chute:
        yield chute


@pytest.fixture
def client(chute):
    with chute.client() as client:
        yield client


def ids_of(answer):
    return answer.headers.get_list("x-request-id")


def lines_about(chute, text):
    """The log lines whose message has the text, once there is one."""
    chute.wait_until(lambda: any(text in message for message in chute.messages), seconds=5)
    return [line for line in chute.lines if text in line["message"]]


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("POST", "/ask", 200),
        ("POST", "/ask-in-a-thread", 200),
        ("POST", "/stream", 200),
        ("POST", "/fails", 500),
        ("POST", "/refuses", 418),
        ("GET", "/ask", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs-assets/swagger-ui.css", 200),
        ("HEAD", "/livez", 200),
        ("OPTIONS", "/ask", 405),
        ("POST", "/ask/", 307),
    ],
)
def test_each_answer_has_exactly_one_id(client, verb, path, status):
    given = client.request(verb, path, json={"name": "x"}, headers={"X-Request-ID": "a.b:c/d+e=@-_1"})
    made = client.request(verb, path, json={"name": "x"})

    assert (given.status_code, made.status_code) == (status, status)
    assert ids_of(given) == ["a.b:c/d+e=@-_1"]
    assert len(ids_of(made)) == 1
    assert OWN.fullmatch(ids_of(made)[0])


def test_refused_bodies_have_one_too(client):
    answers = [
        client.post("/ask", json={}),
        client.post("/ask", content=b"{", headers={"Content-Type": "application/json"}),
        client.post("/ask", json={"name": "x" * 20_000}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 413]
    assert all(OWN.fullmatch(ids_of(answer)[0]) for answer in answers)


def test_each_request_on_one_connection_has_its_own(client):
    ids = [ids_of(client.post("/ask", json={"name": "x"}))[0] for _ in range(5)]
    assert len(set(ids)) == 5


def test_a_cord_cannot_tell_another_id_than_the_log_has(client):
    assert ids_of(client.get("/own", headers={"X-Request-ID": "of-the-client"})) == ["of-the-client"]


def test_the_function_is_told_the_id(client):
    for path in ("/ask", "/ask-in-a-thread"):
        answer = client.post(path, json={"name": "x"})
        assert answer.json() == ids_of(answer)[0]


@pytest.mark.parametrize("given", ["a" * 129, "a b", "é", "", "a\tb", "a;b", "<b>"])
def test_an_id_that_is_not_sane_is_replaced(client, given):
    answer = client.get("/livez", headers={"X-Request-ID": given.encode()})
    assert OWN.fullmatch(ids_of(answer)[0])


def test_an_error_tells_the_id_under_which_it_is_logged(chute, client):
    answer = client.post("/fails", json={"name": "luck"})
    body = answer.json()
    (line,) = lines_about(chute, "/fails failed: RuntimeError: no luck")

    assert body == {"detail": "Internal Server Error", "request_id": ids_of(answer)[0]}
    assert line["request_id"] == body["request_id"]
    assert "no luck" in line["exception"]


def test_a_broken_stream_tells_the_id_under_which_it_is_logged(chute, client):
    answer = client.post("/breaks", json={"name": "spring"})
    _, _, event = answer.text.partition("event: error\ndata: ")
    (line,) = lines_about(chute, "no spring")

    assert json.loads(event)["request_id"] == ids_of(answer)[0] == line["request_id"]
    assert "no spring" not in answer.text


async def test_lines_of_calls_at_the_same_time_keep_their_ids_apart(chute):
    paths = ["/ask", "/ask-in-a-thread", "/stream", "/stream-in-a-thread"]
    async with chute.async_client() as client:
        calls = [
            client.post(path, json={"name": f"n{n}{path}"}, headers={"X-Request-ID": f"n{n}{path}"})
            for n in range(8)
            for path in paths
        ]
        answers = await asyncio.gather(*calls)
    wanted = {f"n{n}{path}" for n in range(8) for path in paths}
    lines = [line for line in chute.lines if line["message"].split()[-1] in wanted]

    assert {answer.status_code for answer in answers} == {200}
    assert {line["request_id"] for line in lines} == wanted
    assert all(line["message"].endswith(f" {line['request_id']}") for line in lines)
    assert len(lines) == 8 * (2 + 1 + 3 + 3)


def test_a_websocket_has_one_for_its_whole_life(chute):
    url = chute.url.replace("http", "ws") + "/talk"
    with connect(url, additional_headers={"X-Request-ID": "talk-1"}) as talk:
        talk.send("hello")
        told = talk.recv()
        accepted = talk.response.headers.get_all("x-request-id")
    with connect(url) as talk:
        talk.send("there")
        made = talk.recv()

    assert told == "talk-1"
    assert accepted == ["talk-1"]
    assert OWN.fullmatch(made)
    assert {line["request_id"] for line in lines_about(chute, "hears hello")} == {"talk-1"}


def test_a_refused_websocket_has_one_too(chute):
    with pytest.raises(InvalidStatus) as refused:
        connect(chute.url.replace("http", "ws") + "/nowhere", additional_headers={"X-Request-ID": "talk-2"})

    assert refused.value.response.status_code in {403, 404}
    assert refused.value.response.headers.get_all("x-request-id") == ["talk-2"]


def test_lines_of_no_request_have_none(chute):
    assert {line["request_id"] for line in chute.lines if "is ready on" in line["message"]} == {None}


def test_no_client_can_forge_a_line_or_speak_to_the_terminal(serve):
    forged = "/missing%0a12:00:00.000%20INFO%20forged%1b%5b31m%e2%80%a8"
    with serve("apps/told.py", "--log-level", "debug", CHUTES_LOG_FORMAT="json") as json_lines:
        with json_lines.client() as client:
            client.get(forged)
        json_lines.wait_until_it_says("GET /missing")
    assert len([line for line in json_lines.lines if "forged" in line["message"]]) == 1
    assert "\x1b" not in json_lines.text
