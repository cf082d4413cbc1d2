"""The official OpenAI client against a chute that serves a model: sync, async, streams, errors."""

from collections.abc import Iterator

import httpx2
import openai
import pytest

from chutes.templates import build_embedding_chute, build_vllm_chute
from chutes.testing import FakeEngine, wait_until
from chutes.testing.engines import use_engine
from support.http_servers import asgi_server

MESSAGES = [{"role": "user", "content": "Good day to you"}]
SAID = "You said: Good day to you"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine("tiny")


@pytest.fixture
def url(engine: FakeEngine) -> Iterator[str]:
    chute = build_vllm_chute(
        "acme", "acme/tiny", engine_args="--served-model-name tiny", max_body_size=20_000
    )
    use_engine(chute, engine)
    with asgi_server(chute, lifespan="on") as address:
        yield address + "/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    # The machine's proxies have no part in this.
    with openai.OpenAI(
        base_url=url, api_key="none", max_retries=0, http_client=httpx2.Client(trust_env=False)
    ) as client:
        yield client


def chat(client: openai.OpenAI, **options):
    return client.chat.completions.create(**{"model": "tiny", "messages": MESSAGES} | options)


def test_a_chat_and_a_completion(client):
    answer = chat(client, temperature=0)
    assert answer.choices[0].message.content == SAID
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert client.completions.create(model="tiny", prompt="Once").choices[0].text == "You said: Once"


def test_streams_come_in_pieces_with_usage_at_their_end(client):
    events = list(chat(client, stream=True, stream_options={"include_usage": True}))
    pieces = [event.choices[0].delta.content for event in events if event.choices]
    assert "".join(piece for piece in pieces if piece) == SAID
    assert len([piece for piece in pieces if piece]) == len(SAID.split())
    assert events[-1].usage.total_tokens > 0
    texts = [
        event.choices[0].text for event in client.completions.create(model="tiny", prompt="a b", stream=True)
    ]
    assert "".join(texts) == "You said: a b"


async def test_the_async_client(url):
    http = httpx2.AsyncClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as client:
        answer = await client.chat.completions.create(model="tiny", messages=MESSAGES)
        assert answer.choices[0].message.content == SAID
        stream = await client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True)
        pieces = [event.choices[0].delta.content async for event in stream]
        assert "".join(piece for piece in pieces if piece) == SAID


def test_the_models_that_there_are(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("other")


def test_errors_are_those_of_the_client(client, engine):
    with pytest.raises(openai.NotFoundError) as missing:
        chat(client, model="other")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert missing.value.request_id
    with pytest.raises(openai.APIStatusError) as large:
        chat(client, messages=[{"role": "user", "content": "x" * 40_000}])
    assert (large.value.status_code, large.value.code) == (413, "request_too_large")
    engine.openai.failure = 400
    with pytest.raises(openai.BadRequestError, match="told to fail"):
        chat(client)
    engine.openai.failure = 500
    with pytest.raises(openai.InternalServerError, match="told to fail"):
        chat(client)


def test_a_client_that_may_retry_waits_for_the_engine(url, engine):
    http = httpx2.Client(trust_env=False)
    engine.become_unready(1)
    asked = []
    http.event_hooks["response"].append(
        lambda answer: (asked.append(answer.status_code), engine.become_ready())
    )
    with openai.OpenAI(base_url=url, api_key="none", max_retries=2, http_client=http) as client:
        assert chat(client).choices[0].message.content == SAID
    assert asked == [503, 200]


def test_a_wrong_key_is_an_authentication_error(engine, monkeypatch):
    monkeypatch.setenv("CHUTES_API_KEYS", "sesame-sesame")
    chute = build_vllm_chute("acme", "tiny")
    use_engine(chute, engine)
    with asgi_server(chute, lifespan="on") as address, httpx2.Client(trust_env=False) as http:
        wrong = openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0, http_client=http)
        with pytest.raises(openai.AuthenticationError, match="needs an API key") as refused:
            chat(wrong)
        assert refused.value.code == "invalid_api_key"
        right = wrong.with_options(api_key="sesame-sesame")
        assert chat(right).choices[0].message.content == SAID


def test_a_stream_that_is_closed_ends_the_engines_work(client, engine):
    engine.openai.pause = 0.05
    stream = chat(client, messages=[{"role": "user", "content": "word " * 2000}], stream=True)
    next(iter(stream))
    stream.close()
    wait_until(lambda: engine.openai.aborted, timeout=30)


def test_an_engine_that_breaks_in_a_stream_is_an_error_and_no_short_answer(client, engine):
    engine.openai.pause = 0.05
    stream = chat(client, messages=[{"role": "user", "content": "word " * 2000}], stream=True)
    events = iter(stream)
    next(events)
    engine._end()
    with pytest.raises((openai.APIError, httpx2.RemoteProtocolError)):
        list(events)


def test_embeddings(engine):
    chute = build_embedding_chute("acme", "tiny")
    use_engine(chute, engine)
    with asgi_server(chute, lifespan="on") as address, httpx2.Client(trust_env=False) as http:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, http_client=http)
        answer = client.embeddings.create(model="tiny", input=["a cat", "a dog"], encoding_format="float")
        assert [len(one.embedding) for one in answer.data] == [4, 4]
