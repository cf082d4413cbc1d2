"""Templates' chutes on vLLM's CPU build, through the official OpenAI client."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import pytest

from support.chute_process import ChuteProcess, chute_process
from support.engines import engine_python
from support.tiny_llama import make_tiny_llama

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

START_SECONDS = 600
LANGUAGE = """
from chutes.chute import NodeSelector
from chutes.chute.template.vllm import build_vllm_chute

chute = build_vllm_chute(
    username="acme",
    model_name="./llama",
    node_selector=NodeSelector(gpu_count=1),
    engine_args="--max-model-len 32768 --enforce-eager",
).chute


@chute.cord("/tell")
async def tell(self, prompt: str) -> int:
    answer = await self.chat([{"role": "user", "content": prompt}], max_tokens=4, ignore_eos=True)
    return answer["usage"]["completion_tokens"]


@chute.cord("/numbers", method="GET", passthrough=True, passthrough_path="/metrics")
async def numbers(self): ...
"""
EMBEDDING = """
from chutes.chute.template.embedding import build_embedding_chute

chute = build_embedding_chute(username="acme", model_name="./llama", pooling_type="MEAN", max_embed_len=4096)


@chute.cord("/length")
async def length(self, texts: list[str]) -> list[int]:
    return [len(vector) for vector in await self.embed(texts)]
"""
MESSAGES = [{"role": "user", "content": "Good day"}]
CONTEXT = 32768
# So many take a minute, and a busy machine shows the first of them after seconds.
LONG = 32000
SIZED = {"model": "llama", "max_tokens": 6, "extra_body": {"ignore_eos": True}}


@contextmanager
def served(folder: Path, text: str) -> Iterator[tuple[ChuteProcess, openai.OpenAI, httpx2.Client]]:
    make_tiny_llama(folder / "llama", context=CONTEXT)
    (folder / "app.py").write_text(text)
    environ = {"CHUTES_ENGINE_PYTHON": engine_python("vllm")}
    with chute_process(
        "app.py", "--port", "0", folder=folder, log=folder / "output.log", **environ
    ) as process:
        process.wait_until(lambda: any("url" in line for line in process.lines), START_SECONDS)
        with httpx2.Client(base_url=process.url, trust_env=False, timeout=120) as http:
            client = openai.OpenAI(
                base_url=f"{process.url}/v1", api_key="none", max_retries=0, timeout=120, http_client=http
            )
            yield process, client, http


def number(http: httpx2.Client, name: str) -> int:
    """What vLLM's own metrics say."""
    found = re.findall(rf"^vllm:{name}{{\S* (\S+)$", http.get("/numbers").text, re.MULTILINE)
    assert found, name
    return int(sum(map(float, found)))


def test_a_language_model_answers_in_every_way_of_the_openai_api(tmp_path):
    with served(tmp_path, LANGUAGE) as (process, client, http):
        answer = client.chat.completions.create(messages=MESSAGES, **SIZED)
        assert (answer.model, answer.usage.completion_tokens) == ("llama", 6)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        events = list(client.chat.completions.create(messages=MESSAGES, **SIZED, **options))
        assert events[-1].usage.completion_tokens == 6
        assert client.completions.create(prompt="Once", **SIZED).usage.completion_tokens == 6
        texts = list(client.completions.create(prompt="Once", stream=True, **SIZED))
        assert texts[-1].choices[0].finish_reason == "length"
        assert [model.id for model in client.models.list()] == ["llama"]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="other", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="llama", messages=MESSAGES, max_tokens=CONTEXT + 1)
        tokens = http.post("/tokenize", json={"prompt": "héllo"}).json()["tokens"]
        assert http.post("/detokenize", json={"tokens": tokens}).json()["prompt"].endswith("héllo")
        assert http.post("/tell", json={"prompt": "Good day"}).json() == 4

        long = {**SIZED, "max_tokens": LONG, "stream": True}
        for _ in range(3):
            before = number(http, "generation_tokens_total")
            with client.completions.create(prompt="Once", **long) as stream:
                next(iter(stream))
            process.wait_until(lambda: number(http, "num_requests_running") == 0)
            assert number(http, "generation_tokens_total") - before < LONG


def test_an_embedding_model_gives_vectors(tmp_path):
    with served(tmp_path, EMBEDDING) as (_, client, http):
        answer = client.embeddings.create(model="llama", input=["a cat", "a dog"])
        assert [len(one.embedding) for one in answer.data] == [128, 128]
        assert answer.usage.prompt_tokens > 0
        assert http.post("/length", json={"texts": ["a", "b", "c"]}).json() == [128, 128, 128]
