"""`self.generate` and its like, over HTTP to a model server: in cords, hooks, jobs, websockets and direct calls."""

import asyncio
import json

import pytest

from chutes.chute import Chute
from chutes.errors import CallFailed, CallRefused, CallRejected, ConnectionFailed
from chutes.serve.chat_template import has_chat_template
from chutes.templates import build_embedding_chute, build_vllm_chute
from chutes.testing import AsyncTestClient, FakeEngine, TestClient, async_wait_until, wait_until
from support.model_files import entry, gguf, text


@pytest.fixture
def chute() -> Chute:
    return build_vllm_chute("acme", "gpt2", name="custom-llm")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def test_a_prompt_becomes_a_conversation_and_its_answer_a_text(chute, engine):
    async with AsyncTestClient(chute, engine=engine):
        assert await chute.generate("Hello there", temperature=0, max_tokens=4) == "You said: Hello there"
    assert engine.requests == [
        {
            "path": "/v1/chat/completions",
            "model": "fake",
            "messages": [{"role": "user", "content": "Hello there"}],
            "temperature": 0,
            "max_tokens": 4,
        }
    ]


async def test_messages_are_a_prompt_too(chute, engine):
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}]
    async with AsyncTestClient(chute, engine=engine):
        assert await chute.generate(messages) == "You said: Hello"
        with pytest.raises(TypeError, match="raw=True continues a text"):
            await chute.generate(messages, raw=True)
    assert engine.requests[0]["messages"] == messages


async def test_a_raw_prompt_is_continued_up_to_a_limit(chute, engine):
    async with AsyncTestClient(chute, engine=engine):
        assert await chute.generate("Once upon", raw=True) == "You said: Once upon"
        await chute.generate("Once", raw=True, max_tokens=2)
    assert engine.requests[0] == {
        "path": "/v1/completions",
        "model": "fake",
        "prompt": "Once upon",
        "max_tokens": 256,
    }
    assert engine.requests[1]["max_tokens"] == 2


async def test_an_answer_comes_in_pieces(chute, engine):
    async with AsyncTestClient(chute, engine=engine):
        pieces = [piece async for piece in chute.generate_stream("to be")]
        assert pieces == ["You", " said:", " to", " be"]
        assert [piece async for piece in chute.generate_stream("to", raw=True)] == ["You", " said:", " to"]


async def test_a_stream_that_is_left_ends_the_engines_work(chute, engine):
    engine.openai.pause = 0.05
    async with AsyncTestClient(chute, engine=engine):
        stream = chute.generate_stream("word " * 2000)
        async for _ in stream:
            break
        await stream.aclose()
        await async_wait_until(lambda: engine.openai.aborted, timeout=30)


async def test_a_call_that_is_cancelled_ends_the_engines_work(chute, engine):
    engine.openai.pause = 0.05
    async with AsyncTestClient(chute, engine=engine):

        async def read() -> None:
            async for _ in chute.generate_stream("word " * 2000):
                begun.set()

        begun = asyncio.Event()
        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await async_wait_until(lambda: engine.openai.aborted, timeout=30)


async def test_a_chat_is_the_whole_answer_of_the_api(chute, engine):
    async with AsyncTestClient(chute, engine=engine):
        answer = await chute.chat([{"role": "user", "content": "Hi"}], seed=1)
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": "You said: Hi"}
        assert answer["usage"]["total_tokens"] > 0
        events = [event async for event in chute.chat_stream([{"role": "user", "content": "Hi"}])]
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        whole = await chute.completion("Once")
        assert whole["choices"][0]["text"] == "You said: Once"
        texts = [event["choices"][0]["text"] async for event in chute.completion_stream("Once")]
        assert "".join(texts) == "You said: Once"
        assert [one["id"] for one in await chute.models()] == ["fake"]
        with pytest.raises(TypeError, match="use generate_stream"):
            await chute.chat([], stream=True)


async def test_a_text_has_a_vector_and_texts_have_a_list_of_them():
    chute = build_embedding_chute("acme", "acme/vectors")
    async with AsyncTestClient(chute, engine=FakeEngine()):
        one, [first, second] = await chute.embed("a cat"), await chute.embed(["a cat", "a dog"])
        assert one == first != second
        assert all(isinstance(number, float) for number in one)
        assert await chute.embed([]) == []


def test_cords_hooks_and_websockets_call_the_model(chute, engine):
    @chute.on_startup()
    async def greet(self):
        self.greeting = await self.generate("ready?")

    @chute.cord("/ask")
    async def ask(self, prompt: str) -> dict:
        return {"answer": await self.generate(prompt), "greeting": self.greeting}

    @chute.cord("/tell", stream=True)
    async def tell(self, prompt: str):
        async for piece in self.generate_stream(prompt):
            yield piece

    @chute.websocket("/talk")
    async def talk(self, websocket):
        await websocket.accept()
        await websocket.send_text(await self.generate(await websocket.receive_text()))

    with TestClient(chute, engine=engine) as client:
        answer = client.post("/ask", json={"prompt": "x"}).json()
        assert answer == {"answer": "You said: x", "greeting": "You said: ready?"}
        assert client.post("/tell", json={"prompt": "y"}).text == "You said: y"
        with client.websocket_connect("/talk") as socket:
            socket.send_text("z")
            assert socket.receive_text() == "You said: z"


def test_a_job_calls_the_model(chute, engine):
    @chute.job()
    async def summarize(self, text: str):
        return await self.generate(text)

    with TestClient(chute, engine=engine) as client:
        run = client.post("/jobs/summarize", json={"text": "long"}).json()
        wait_until(
            lambda: client.get(f"/jobs/summarize/{run['id']}").json()["status"] == "succeeded", timeout=30
        )
        assert client.get(f"/jobs/summarize/{run['id']}").json()["result"] == "You said: long"


async def test_what_the_engine_refuses_is_an_error_with_its_words(chute, engine):
    async with AsyncTestClient(chute, engine=engine):
        for status, kind in ((400, CallRejected), (429, CallRefused), (500, CallFailed)):
            engine.openai.failure = status
            with pytest.raises(kind, match="The engine was told to fail") as caught:
                await chute.generate("x")
            assert caught.value.status == status
        engine.openai.failure = 500
        with pytest.raises(CallFailed, match="told to fail"):
            await _all(chute.generate_stream("x"))


async def test_a_call_while_the_engine_is_not_ready_is_refused_at_once(chute, engine):
    async with AsyncTestClient(chute, engine=engine):
        engine.become_unready(7)
        with pytest.raises(CallRefused, match=r"not ready .* in 7 s") as caught:
            await chute.generate("x")
        assert caught.value.retry_after == 7


async def test_an_engine_that_ends_in_the_middle_breaks_the_call(chute, engine):
    engine.openai.pause = 0.05
    async with AsyncTestClient(chute, engine=engine):
        stream = chute.generate_stream("word " * 2000)
        await anext(stream)
        await engine.stop()
        with pytest.raises(ConnectionFailed, match="ended in the middle"):
            await _all(stream)


async def _all(stream):
    return [piece async for piece in stream]


async def test_a_call_of_a_chute_that_is_not_served_says_how_to_serve_it(chute):
    with pytest.raises(CallRefused, match="not ready"):
        await chute.generate("x")


def test_a_cord_whose_model_is_not_ready_asks_its_caller_to_come_again(chute, engine):
    @chute.cord("/ask")
    async def ask(self, prompt: str):
        return await self.generate(prompt)

    with TestClient(chute, engine=engine) as client:
        engine.become_unready(7)
        answer = client.post("/ask", json={"prompt": "x"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert "not ready" in answer.json()["detail"]


def test_the_names_of_the_calls_are_proposed(chute):
    with pytest.raises(AttributeError, match="Did you mean 'generate'"):
        _ = chute.generat


def test_a_folder_has_a_chat_template_when_one_of_its_files_says_so(tmp_path):
    assert not has_chat_template(tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text("{}")
    assert not has_chat_template(tmp_path)
    settings.write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert has_chat_template(tmp_path)
    settings.write_text("no json")
    assert not has_chat_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert has_chat_template(tmp_path)


def test_a_gguf_file_has_one_when_its_header_says_so(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf())
    assert not has_chat_template(path)
    path.write_bytes(gguf() + entry("tokenizer.chat_template", 8, text("{{ messages }}")))
    assert has_chat_template(path)
    assert not has_chat_template(tmp_path / "missing.gguf")
