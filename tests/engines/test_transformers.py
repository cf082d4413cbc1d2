"""transformers' own server with a tiny model: what it answers, and that it dies with its parent."""

import asyncio

import pytest

from support.engine_host import engine_host
from support.engines import ask, engine_python
from support.tiny_llama import make_tiny_llama
from support.token_streams import token_streams

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

CHAT = {"model": "org/tiny", "messages": [{"role": "user", "content": "Good day"}], "max_tokens": 8}
LONG = {**CHAT, "max_tokens": 3900, "stream": True}


async def test_it_answers_comes_back_when_it_was_killed_and_goes_with_its_parent(tmp_path):
    model = make_tiny_llama(tmp_path / "model")
    fields = {"model_name": str(model), "python": engine_python("transformers"), "served_name": "org/tiny"}
    with engine_host(**fields) as process:
        chat = f"{process.url}/v1/chat/completions"
        answer = await ask(chat, CHAT, process.headers)
        assert answer["choices"][0]["message"]["role"] == "assistant"
        assert 0 < answer["usage"]["completion_tokens"] <= 8
        async with token_streams() as streams:
            streams.open(chat, process.headers, {**CHAT, "stream": True}, 4)
            await streams.all_end()
            assert streams.whole == 4
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
