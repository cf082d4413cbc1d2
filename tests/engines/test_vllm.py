"""vLLM's CPU build with a tiny model: what it answers, how it fails, and that it dies with its parent."""

import asyncio
import urllib.error

import pytest

from chutes.chute.engine import EngineSpec
from chutes.engines import EngineRunner
from chutes.errors import EngineError
from support.engine_host import engine_host
from support.engines import ask, engine_python
from support.tiny_llama import make_tiny_llama
from support.token_streams import streamed_text, token_streams

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

CHAT = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Good day"}],
    "max_tokens": 8,
    "ignore_eos": True,
}
LONG = {**CHAT, "max_tokens": 3900, "stream": True}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    model = make_tiny_llama(tmp_path_factory.mktemp("vllm") / "model")
    return {"model_name": str(model), "python": engine_python("vllm"), "served_name": "tiny"}


async def test_it_answers_comes_back_when_it_was_killed_and_goes_with_its_parent(spec):
    with engine_host(**spec, aliases=["other"]) as process:
        chat = f"{process.url}/v1/chat/completions"
        answer = await ask(chat, CHAT, process.headers)
        assert answer["model"] == "tiny"
        assert answer["usage"]["completion_tokens"] == 8
        assert await streamed_text(chat, process.headers, CHAT)
        assert (await ask(chat, {**CHAT, "model": "other"}, process.headers))["choices"]
        listed = await ask(f"{process.url}/v1/models", headers=process.headers)
        assert [model["id"] for model in listed["data"]] == ["tiny", "other"]
        tokens = await ask(f"{process.url}/tokenize", {"model": "tiny", "prompt": "héllo"}, process.headers)
        text = await ask(
            f"{process.url}/detokenize", {"model": "tiny", "tokens": tokens["tokens"]}, process.headers
        )
        assert text["prompt"].endswith("héllo")
        with pytest.raises(urllib.error.HTTPError, match="401") as refusal:
            await ask(chat, CHAT)
        refusal.value.close()
        async with token_streams() as streams:
            streams.open(chat, process.headers, LONG, 8)
            await streams.all_flow()
            process.kill_engine()
            await streams.all_end()
            assert streams.broken
        await asyncio.to_thread(
            process.wait_for, lambda told: told.get("restarts") == 1 and told["state"] == "ready"
        )
        assert (await ask(chat, CHAT, process.headers))["choices"]
        async with token_streams() as streams:
            streams.open(chat, process.headers, LONG, 8)
            await streams.all_flow()
            process.kill()
            await streams.all_end()


async def test_an_argument_that_it_does_not_have_fails_the_start(spec):
    with pytest.raises(EngineError, match="unrecognized arguments: --nonsense") as failure:
        async with EngineRunner(EngineSpec(**spec, engine="vllm", arguments=("--nonsense",))):
            pytest.fail("It was entered.")
    assert "Correct the engine's arguments" in str(failure.value)
