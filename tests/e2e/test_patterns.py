"""Each pattern of the API reference, written as a user would, served by `chutes run` and called over HTTP."""

import asyncio
import json
import signal
import time
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from support.chute_process import chute_process, reserved_port

PATTERNS = Path(__file__).parent / "patterns"


@pytest.fixture
def pattern(serve):
    """Serves one file of the folder patterns."""
    return lambda name, *words, **environ: serve(f"patterns/{name}.py", *words, **environ)


def test_every_value_of_the_constructor_is_taken(pattern):
    with pattern("described") as chute, chute.client() as client:
        facts = client.get("/facts").json()
        info = client.get("/openapi.json").json()["info"]

    assert facts == {"owner": "poets", "name": "haiku", "slots": 6, "gpus": 2, "image": "0.3"}
    assert info["title"] == "Haiku API"
    assert info["summary"] == "Writes three lines about anything"
    assert "*three lines*" in info["description"]
    assert info["version"] == "7.1"


def test_hooks_run_before_the_first_call_and_after_the_last(pattern, tmp_path):
    with pattern("hooks") as chute, chute.client() as client:
        said = client.post("/say", json={"text": "good morning"})
        order = client.get("/order").json()
        code = chute.stop()

    assert (said.status_code, said.json()) == (200, "echo: good morning")
    assert order == ["prepare", "open_ledger"]
    assert code == 0
    assert (tmp_path / "ledger.txt").read_text() == "closed\n"
    assert chute.text.index("the model is there") < chute.text.index("all is put away")


def test_schemas_check_what_comes_in_and_what_goes_out(pattern):
    with pattern("schemas") as chute, chute.client() as client:
        good = client.post("/poem", json={"subject": "rain on the roof", "words": 2})
        bad = client.post("/poem", json={"subject": "rain", "words": 0, "mood": 7})
        broken = client.post("/broken", json={})
        spread = client.post("/spread", json={"subject": "rain"})
        document = client.get("/openapi.json").json()

    assert (good.status_code, good.json()) == (200, {"text": "echo: rain on", "words": 3})
    assert bad.status_code == 422
    assert {tuple(one["loc"]) for one in bad.json()["detail"]} == {("body", "words"), ("body", "mood")}
    assert broken.status_code == 500
    assert broken.json()["detail"] == "Internal Server Error"
    assert spread.json() == ["rain", 20]
    body = document["paths"]["/poem"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["minimal"]["value"] == {"subject": "the sea"}
    assert "What the poem is about" in json.dumps(document["components"]["schemas"]["Wish"])
    answer = document["paths"]["/poem"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["$ref"].endswith("/Poem")


def test_a_picture_is_sent_as_it_is(pattern):
    with pattern("picture") as chute, chute.client() as client:
        painted = client.post("/paint", json={"wish": "a boat"})
        plain = client.get("/plain")

    assert painted.status_code == plain.status_code == 200
    assert painted.headers["content-type"] == plain.headers["content-type"] == "image/png"
    assert painted.headers["content-disposition"] == "inline; filename=wish.png"
    assert painted.content == plain.content
    assert painted.content.startswith(b"\x89PNG")


def test_each_word_of_a_stream_arrives_when_it_is_made(pattern):
    with pattern("token_stream") as chute, chute.client() as client:
        for path in ("/recite", "/murmur"):
            with client.stream("POST", path, json={"text": " ".join(["word"] * 20)}) as answer:
                events = [(line, time.monotonic()) for line in answer.iter_lines() if line]

            assert answer.headers["content-type"].startswith("text/event-stream")
            assert [json.loads(line.removeprefix("data: ")) for line, _ in events] == [{"word": "word"}] * 20
            assert events[-1][1] - events[0][1] > 0.1


def test_a_websocket_that_its_function_closes_twice_ends_in_order(pattern):
    with pattern("conversation") as chute:
        with connect(f"{chute.url.replace('http', 'ws')}/talk") as talk:
            talk.send("hello there")
            assert talk.recv() == "echo: hello there"
        with connect(f"{chute.url.replace('http', 'ws')}/talk") as talk:
            talk.send("explode")
            # The function caught its own error, and closed.
            with pytest.raises(Exception, match="1000"):
                talk.recv()
        with chute.client() as client:
            chute.wait_until(lambda: len(client.get("/ended").json()) == 2)
            ended = client.get("/ended").json()
        chute.stop()

    assert sorted(ended) == ["RuntimeError", "WebSocketDisconnect"]
    assert "Traceback" not in chute.text


def test_middleware_and_routes_of_a_startup_hook_act_on_every_request(pattern):
    origin = {"Origin": "https://elsewhere.example"}
    with pattern("cross_origin") as chute, chute.client() as client:
        preflight = client.options("/rhyme", headers=origin | {"Access-Control-Request-Method": "POST"})
        answers = [
            client.post("/rhyme", json={"word": "stone"}, headers=origin),
            client.get("/imprint", headers=origin),
            client.post("/rhyme", json={}, headers=origin),
            client.get("/no-such-path", headers=origin),
        ]

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert [answer.status_code for answer in answers] == [200, 200, 422, 404]
    assert {answer.headers.get("access-control-allow-origin") for answer in answers} == {"*"}
    assert answers[0].json() == "enots"
    assert answers[1].json() == {"publisher": "poets"}


def test_the_chutes_logger_writes_lines_with_the_id_of_their_request(pattern):
    with pattern("logbook") as chute, chute.client() as client:
        good = client.post("/write", json={"text": "a letter"}, headers={"X-Request-ID": "letter-1"})
        bad = client.post("/write", json={"text": "explode"}, headers={"X-Request-ID": "letter-2"})
        chute.stop()

    assert (good.status_code, bad.status_code) == (200, 500)
    assert "logbook of poets has 3 slots" in chute.messages
    told = {line["message"]: line for line in chute.lines}
    assert told["asked for a letter"]["request_id"] == "letter-1"
    assert told["answered"]["request_id"] == "letter-1"
    assert told["it went wrong: weights at /secret/place are broken"]["level"] == "error"
    assert told["it went wrong: weights at /secret/place are broken"]["request_id"] == "letter-2"
    assert "secret" not in bad.text
    failure = next(line for line in chute.lines if line.get("exception_type") == "RuntimeError")
    assert failure["request_id"] == "letter-2"
    assert "stand_in.py" in failure["exception"]
    assert "uvicorn" not in failure["exception"]


def test_a_replaced_health_check_answers_health(pattern):
    with pattern("own_health") as chute, chute.client() as client:
        before = client.get("/health")
        client.post("/break")
        chute.wait_until(lambda: client.get("/health").status_code == 503)
        after = client.get("/health")
        alive, ready = client.get("/livez"), client.get("/readyz")

    assert before.status_code == 200
    assert before.json()["model_loaded"] is True
    assert after.json() == {
        "status": "unhealthy",
        "error": "RuntimeError",
        "timestamp": after.json()["timestamp"],
    }
    assert (alive.status_code, ready.status_code) == (200, 200)


def test_state_is_shared_by_all_calls(pattern):
    with pattern("tallies") as chute, chute.client() as client:
        answers = [client.post("/ask", json={"text": text}) for text in ("one", "one", "two", "explode")]
        tallies = client.get("/tallies").json()

    assert [answer.status_code for answer in answers] == [200, 200, 200, 500]
    assert answers[0].json() == answers[1].json() == "echo: one"
    assert tallies == {"calls": 4, "failures": 1, "share_found": pytest.approx(1 / 3)}


def test_parts_that_a_hook_injects_are_used_by_cords(pattern):
    with pattern("injected_parts") as chute, chute.client() as client:
        answers = [client.post("/ask", json={"text": "hi"}).json() for _ in range(2)]

    assert answers == ["echo: hi", "echo: hi (kept)"]


def test_one_handler_answers_what_no_cord_handles(pattern):
    with pattern("central_errors") as chute, chute.client() as client:
        answers = [
            client.post(path, json={"text": text}, headers={"X-Request-ID": "case-9"})
            for path, text in [
                ("/careful", "hi"),
                ("/careful", " "),
                ("/careful", "explode"),
                ("/careless", "explode"),
            ]
        ]
        chute.stop()

    assert [answer.status_code for answer in answers] == [200, 400, 502, 500]
    assert answers[1].json() == {"detail": "An empty text has no answer."}
    assert answers[3].json() == {"error": "It is our fault.", "request_id": "case-9"}
    assert all(answer.headers["x-request-id"] == "case-9" for answer in answers)
    assert not any("secret" in answer.text for answer in answers)
    assert "nobody expected RuntimeError" in chute.messages


async def test_batches_made_by_hand_answer_each_caller_with_its_own(pattern):
    with pattern("batches_by_hand") as chute:
        async with chute.async_client() as client:
            calls = [client.post("/ask", json={"text": f"number  {n}"}) for n in range(16)]
            answers = [answer.json() for answer in await asyncio.gather(*calls)]
            batches = (await client.get("/batches")).json()

    assert answers == [{"answer": f"echo: number {n}"} for n in range(16)]
    assert sum(batches) == 16
    assert max(batches) == 8


def test_functions_of_the_module_guard_a_cord(pattern):
    with pattern("guarded") as chute, chute.client() as client:
        stranger = client.post("/ask", json={"text": "hi"})
        client.headers["X-API-Key"] = "open-sesame"
        answers = [client.post("/ask", json={"text": text}) for text in ("hi", "h" * 200, "hi", "hi")]

    assert (stranger.status_code, stranger.json()) == (401, {"detail": "No key, no answer."})
    assert [answer.status_code for answer in answers] == [200, 400, 200, 429]


def test_several_models_answer_side_by_side(pattern):
    with pattern("several_models") as chute, chute.client() as client:
        answers = {path: client.post(path, json={"text": "two words"}) for path in ("/write", "/paint")}
        measured = client.post("/measure", json={"text": "two words"})
        everything = client.post("/everything", json={"text": "two words"})
        missing = client.post("/measure", json={})

    assert answers["/write"].json() == "echo: two words"
    assert answers["/paint"].headers["content-type"] == "image/png"
    assert measured.json() == [9.0, 2.0]
    assert everything.json() == {"written": "echo: two words", "measured": [9.0, 2.0]}
    assert missing.status_code == 422


def test_another_asgi_server_runs_the_same_file(tmp_path):
    with reserved_port() as port:
        words = ("tallies:chute", "--port", port, "--app-dir", PATTERNS)
        with chute_process(
            *words, folder=tmp_path, log=tmp_path / "log", program=("-m", "uvicorn")
        ) as server:
            server.wait_until_it_says("Application startup complete")
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                server.wait_until(lambda: client.get("/readyz").status_code == 200)
                answer = client.post("/ask", json={"text": "hi"})
            code = server.stop()

    assert answer.json() == "echo: hi"
    assert code in {0, -signal.SIGTERM}
    assert "Traceback" not in server.text
