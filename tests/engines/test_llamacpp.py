"""llama.cpp with a real small model: what it answers, how it fails, and that it dies with its parent."""

import asyncio
import shutil
import urllib.error

import pytest

from chutes.chute.engine import EngineSpec
from chutes.engines import EngineRunner
from chutes.errors import EngineError
from support.child_processes import becomes_true
from support.engine_host import engine_host
from support.engines import ask, engine_python, small_model
from support.token_streams import streamed_text, token_streams

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Under the system prompt of its template this small model talks of other things.
FRANCE = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
CHAT = {"model": "smol", "messages": FRANCE, "max_tokens": 24, "temperature": 0}
ENDLESS = {"model": "smol", "prompt": "Once", "max_tokens": 1500, "stream": True, "ignore_eos": True}


def spec(**fields):
    known = {"model_name": str(small_model()), "python": engine_python("llamacpp"), "served_name": "smol"}
    return {**known, **fields}


def runner(**fields):
    return EngineRunner(EngineSpec(**spec(**fields)), concurrency=4)


async def test_a_real_model_answers_as_the_openai_api_does():
    async with runner(aliases=("other",)) as engine:
        assert (engine.status.engine, engine.name) == ("llamacpp", "llama.cpp")
        answer = await ask(f"{engine.url}/v1/chat/completions", CHAT, engine.headers)
        assert "Paris" in answer["choices"][0]["message"]["content"]
        assert answer["model"] == "smol"
        assert answer["usage"]["total_tokens"] > answer["usage"]["prompt_tokens"] > 0
        assert "Paris" in await streamed_text(f"{engine.url}/v1/chat/completions", engine.headers, CHAT)
        again = await ask(f"{engine.url}/v1/chat/completions", {**CHAT, "model": "other"}, engine.headers)
        assert again["choices"][0]["message"] == answer["choices"][0]["message"]
        plain = {"model": "smol", "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0}
        assert (
            "Paris"
            in (await ask(f"{engine.url}/v1/completions", plain, engine.headers))["choices"][0]["text"]
        )
        assert [
            model["id"] for model in (await ask(f"{engine.url}/v1/models", headers=engine.headers))["data"]
        ]
        tokens = await ask(f"{engine.url}/tokenize", {"content": "Good day"}, engine.headers)
        assert await ask(f"{engine.url}/detokenize", tokens, engine.headers) == {"content": "Good day"}


async def test_its_key_is_asked_for():
    async with runner() as engine:
        with pytest.raises(urllib.error.HTTPError, match="401") as refusal:
            await ask(f"{engine.url}/v1/chat/completions", CHAT)
        refusal.value.close()


async def test_a_caller_who_leaves_frees_the_slot():
    async with runner() as engine, token_streams() as streams:

        async def busy():
            slots = await ask(f"{engine.url}/slots", headers=engine.headers)
            return sum(slot["is_processing"] for slot in slots)

        streams.open(f"{engine.url}/v1/completions", engine.headers, ENDLESS, 2)
        await streams.all_flow()
        assert await busy() == 2
        await streams.close()
        async with asyncio.timeout(30):
            while await busy():
                await asyncio.sleep(0.1)


async def test_it_makes_embeddings():
    async with runner(task="embed") as engine:
        body = {"model": "smol", "input": ["a cat", "a kitten", "stock exchange"]}
        answer = await ask(f"{engine.url}/v1/embeddings", body, engine.headers)
        vectors = [item["embedding"] for item in answer["data"]]
        assert len(vectors) == 3
        assert len(vectors[0]) == 576
        assert sum(value * value for value in vectors[0]) == pytest.approx(1, abs=0.01)


async def test_its_own_arguments_are_taken():
    arguments = ("--ctx-size", "512", "-np", "1", "--no-perf=on", "--cache-prompt", "off", "--jinja")
    async with runner(engine="llamacpp", arguments_for="llamacpp", arguments=arguments) as engine:
        slots = await ask(f"{engine.url}/slots", headers=engine.headers)
        assert [slot["n_ctx"] for slot in slots] == [512]


async def test_arguments_of_vllm_are_said_in_its_words():
    async with runner(arguments=("--max-model-len", "1024", "--max-num-seqs", "2")) as engine:
        slots = await ask(f"{engine.url}/slots", headers=engine.headers)
        assert [slot["n_ctx"] for slot in slots] == [1024, 1024]


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("--nonsense", "unrecognized argument: --nonsense"),
        ("--n-batch=many", "argument --n-batch: invalid value"),
    ],
)
async def test_an_argument_that_it_does_not_have_fails_the_start(argument, why):
    with pytest.raises(EngineError, match=why) as failure:
        async with runner(engine="llamacpp", arguments_for="llamacpp", arguments=(argument,)):
            pytest.fail("It was entered.")
    assert "Correct the engine's arguments" in str(failure.value)


async def test_a_damaged_model_fails_the_start(tmp_path):
    damaged = tmp_path / "damaged.gguf"
    shutil.copy(small_model(), damaged)
    with damaged.open("r+b") as file:
        file.truncate(3_000_000)
    with pytest.raises(EngineError, match="cannot be read"):
        async with runner(model_name=str(damaged)):
            pytest.fail("It was entered.")


async def test_a_killed_engine_is_ready_again_at_the_same_address():
    with engine_host(**spec()) as process:
        async with token_streams() as streams:
            streams.open(f"{process.url}/v1/completions", process.headers, ENDLESS, 8)
            await streams.all_flow()
            before = set(process.tree())
            process.kill_engine()
            await streams.all_end()
            assert streams.broken == 8
        await asyncio.to_thread(
            process.wait_for, lambda told: told.get("restarts") == 1 and told["state"] == "ready"
        )
        answer = await ask(f"{process.url}/v1/chat/completions", CHAT, process.headers)
        assert "Paris" in answer["choices"][0]["message"]["content"]
        await becomes_true(lambda: not before & set(process.tree()))


async def test_no_process_is_left_when_the_parent_is_killed():
    with engine_host(**spec()) as process:
        async with token_streams() as streams:
            streams.open(f"{process.url}/v1/completions", process.headers, ENDLESS, 8)
            await streams.all_flow()
            process.kill()
            await streams.all_end()
            assert streams.broken == 8
