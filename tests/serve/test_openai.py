"""The OpenAI routes of a chute that serves a model: bodies, names of models, errors, documentation, readiness."""

import json
from collections.abc import Iterator

import pytest

from chutes.chute import Chute
from chutes.serve.openai_errors import starting_openai_answer
from chutes.templates import build_embedding_chute, build_vllm_chute
from chutes.testing import FakeEngine, TestClient, wait_until

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]
# Its answer takes longer than any test.
LONG = [{"role": "user", "content": "word " * 2000}]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("gpt2")


@pytest.fixture
def chute() -> Chute:
    return build_vllm_chute("acme", "./models/gpt2", name="custom-llm", max_queue=0, concurrency=1)


@pytest.fixture
def client(chute: Chute, engine: FakeEngine) -> Iterator[TestClient]:
    with TestClient(chute, engine=engine) as client:
        yield client


def error_of(answer) -> dict:
    body = answer.json()
    assert set(body["error"]) == {"message", "type", "param", "code"}, body
    return body["error"]


def test_a_chat_is_answered(client):
    answer = client.post(CHAT, json={"model": "gpt2", "messages": MESSAGES})
    assert answer.json()["choices"][0]["message"]["content"] == "You said: Hello"


def test_a_stream_comes_byte_for_byte_as_the_engine_sends_it(client, engine):
    import httpx2

    body = {"model": "gpt2", "messages": MESSAGES, "stream": True}
    with httpx2.Client(trust_env=False) as direct:
        theirs = direct.post(engine.url + CHAT, json=body, headers=dict(engine.headers))
    ours = client.post(CHAT, json=body)
    assert ours.content == theirs.content
    assert ours.headers["content-type"] == theirs.headers["content-type"]


def test_a_body_without_a_model_gets_the_chutes(client, engine):
    for body in ('{"messages": []}', ' \n{ "prompt" : "1.50" }', "{}", '{"model": null}'):
        client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert [request["model"] for request in engine.requests] == ["gpt2"] * 4


def test_the_rest_of_a_body_that_is_completed_stays_as_it_was_written(client, engine):
    body = '{"prompt": "\\u00e9", "temperature": 1.0e0, "n": 1}'
    answer = client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert answer.json()["choices"][0]["text"] == "You said: é"


def test_a_model_may_be_named_by_its_path(client, engine):
    answer = client.post(CHAT, json={"messages": MESSAGES, "model": "./models/gpt2"})
    assert (answer.status_code, engine.requests[0]["model"]) == (200, "gpt2")


def test_an_unknown_model_is_404_before_the_engine_is_asked(client, engine):
    answer = client.post(CHAT, json={"messages": MESSAGES, "model": "gpt-5"})
    assert answer.status_code == 404
    assert error_of(answer) == {
        "message": "The model 'gpt-5' does not exist. This chute serves 'gpt2'.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert engine.requests == []


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe"])
def test_a_body_that_is_no_object_is_400(client, engine, body):
    answer = client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_json"
    assert engine.requests == []


def test_the_model_is_listed(client):
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == ["gpt2"]
    assert client.get("/v1/models/gpt2").json()["id"] == "gpt2"
    missing = client.get("/v1/models/meta/llama")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "model_not_found")


def test_tokens_come_and_go(client):
    tokens = client.post("/tokenize", json={"prompt": "ab"}).json()["tokens"]
    assert client.post("/detokenize", json={"tokens": tokens}).json() == {"prompt": "ab"}


def test_no_other_site_may_read_what_the_engine_lets_everybody_read(client, engine):
    import httpx2

    body, origin = {"prompt": "a"}, {"origin": "http://elsewhere.example"}
    theirs = httpx2.post(
        f"{engine.url}/v1/completions", json=body, headers={**engine.headers, **origin}, trust_env=False
    )
    assert theirs.headers["access-control-allow-origin"] == "*"
    ours = client.post("/v1/completions", json=body, headers=origin)
    assert ours.status_code == 200
    assert not [name for name in ours.headers if name.startswith("access-control")]


def test_the_tokens_of_llama_cpp_have_the_same_form(chute):
    with TestClient(chute, engine=FakeEngine("gpt2", engine="llamacpp")) as client:
        tokens = client.post("/tokenize", json={"prompt": "héllo", "add_special_tokens": False})
        assert tokens.json() == {"tokens": [104, 233, 108, 108, 111], "count": 5}
        text = client.post("/detokenize", json={"tokens": tokens.json()["tokens"]})
        assert text.json() == {"prompt": "héllo"}
        assert int(text.headers["content-length"]) == len(text.content)
        refused = client.post("/tokenize", json={"messages": MESSAGES})
        assert refused.status_code == 400
        assert error_of(refused)["param"] == "prompt"


def test_texts_have_embeddings():
    chute = build_embedding_chute("acme", "acme/vectors")
    with TestClient(chute, engine=FakeEngine("acme/vectors")) as client:
        answer = client.post("/v1/embeddings", json={"input": ["a", "b"]}).json()
        assert [one["index"] for one in answer["data"]] == [0, 1]
        assert client.post(CHAT, json={}).status_code == 404


def test_what_the_engine_says_is_wrong_is_passed_on(client, engine):
    engine.openai.failure = 422
    answer = client.post(CHAT, json={"messages": MESSAGES})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "The engine was told to fail."


def test_an_engine_that_is_not_ready_is_503_with_retry_after(client, engine):
    engine.become_unready(4)
    answer = client.post(CHAT, json={"messages": MESSAGES})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "4")
    assert error_of(answer)["type"] == "server_error"
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200
    health = client.get("/health")
    assert (health.status_code, health.json()["engine"]["state"]) == (503, "backing off")
    engine.become_ready()
    assert client.get("/readyz").status_code == 200
    assert client.get("/health").json()["engine"] == {
        "name": "fake", "version": "fake 0", "model": "gpt2", "state": "ready", "restarts": 0,
    }  # fmt: skip


def test_metrics_have_the_engine(client):
    shown = client.get("/metrics").text
    assert 'chutes_engine_state{state="ready"} 1.0' in shown
    assert "chutes_engine_restarts_total 0.0" in shown
    client.post(CHAT, json={"messages": MESSAGES})
    counted = 'chutes_requests_total{cord="chat",status="200"} 1.0'
    wait_until(lambda: counted in client.get("/metrics").text)


def test_a_missing_key_is_401_in_the_form_of_the_api(chute, engine, monkeypatch):
    monkeypatch.setenv("CHUTES_API_KEYS", "sesame-sesame")
    with TestClient(chute, engine=engine) as client:
        answer = client.post(CHAT, json={"messages": MESSAGES})
        assert (answer.status_code, error_of(answer)["code"]) == (401, "invalid_api_key")
        good = client.post(
            CHAT, json={"messages": MESSAGES}, headers={"authorization": "Bearer sesame-sesame"}
        )
        assert good.status_code == 200


def test_a_body_that_is_too_large_is_413_in_the_form_of_the_api(engine):
    chute = build_vllm_chute("acme", "gpt2", max_body_size=100)
    with TestClient(chute, engine=engine) as client:
        answer = client.post(CHAT, json={"messages": [{"role": "user", "content": "x" * 200}]})
        assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")


def test_a_full_queue_is_503_in_the_form_of_the_api(client, engine):
    engine.openai.pause = 0.05
    with client.stream("POST", CHAT, json={"messages": LONG, "stream": True}) as first:
        assert first.status_code == 200
        second = client.post(CHAT, json={"messages": MESSAGES})
        assert second.status_code == 503
        assert int(second.headers["retry-after"]) >= 1
        assert error_of(second)["code"] == "unavailable"


def test_a_client_that_leaves_ends_the_engines_work(client, engine):
    engine.openai.pause = 0.05
    with client.stream("POST", CHAT, json={"messages": LONG, "stream": True}) as answer:
        next(answer.iter_bytes())
    wait_until(lambda: engine.openai.aborted, timeout=30)


def test_unknown_paths_and_wrong_verbs_speak_as_the_api_does(client):
    missing = client.get("/v1/missing")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "not_found")
    wrong = client.get(CHAT)
    assert (wrong.status_code, wrong.headers["allow"], error_of(wrong)["code"]) == (
        405,
        "POST",
        "method_not_allowed",
    )
    assert client.get("/missing").json() == {"detail": "Not Found"}


def test_the_users_own_cords_keep_their_own_form(chute, engine):
    @chute.cord("/own")
    async def own(self, count: int):
        return count

    with TestClient(chute, engine=engine) as client:
        assert isinstance(client.post("/own", json={"count": "x"}).json()["detail"], list)


def test_while_the_chute_starts_its_routes_speak_as_the_api_does():
    held = starting_openai_answer("POST", CHAT + "?x=1")
    assert (held.status, ("Retry-After", "1") in held.headers) == (503, True)
    assert json.loads(held.body)["error"]["message"] == "The chute is starting."
    assert json.loads(starting_openai_answer("GET", "/readyz").body)["status"] == "starting"
    assert starting_openai_answer("GET", "/livez").status == 200


def test_openapi_documents_the_routes_with_their_bodies(client):
    document = client.get("/openapi.json").json()
    post = document["paths"][CHAT]["post"]
    content = post["requestBody"]["content"]["application/json"]
    assert content["schema"]["required"] == ["messages"]
    assert content["schema"]["properties"]["messages"]["items"]["properties"]["role"]["type"] == "string"
    assert content["examples"]["minimal"]["value"] == {
        "messages": [{"role": "user", "content": "What is the capital of France?"}]
    }
    answers = post["responses"]
    assert answers["200"]["content"]["application/json"]["schema"]["$ref"].endswith("ChatCompletionResponse")
    assert "text/event-stream" in answers["200"]["content"]
    for status in ("400", "401", "404", "413", "500", "503"):
        assert answers[status]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorResponse")
    assert {"/v1/completions", "/v1/models", "/v1/models/{model}", "/tokenize", "/detokenize"} <= set(
        document["paths"]
    )


def test_openapi_of_a_model_is_valid(client):
    from openapi_spec_validator import validate

    validate(client.get("/openapi.json").json())


def test_a_test_client_of_another_chute_takes_no_engine(engine):
    with (
        pytest.raises(ValueError, match="a chute that serves a model"),
        TestClient(Chute("acme", "plain", "python:3.12"), engine=engine),
    ):
        pass
