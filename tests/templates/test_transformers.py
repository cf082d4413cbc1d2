"""A template's chute on transformers' own server: a model that only continues texts, and one that holds conversations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import pytest

from support.chute_process import ChuteProcess, chute_process
from support.engines import engine_python
from support.tiny_gpt2 import make_tiny_gpt2
from support.tiny_llama import make_tiny_llama

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

START_SECONDS = 300
# A template that only names its model, and a cord that asks it: the folder beside the file is the model.
FILE = """
from chutes.templates import build_vllm_chute

chute = build_vllm_chute(username="mycompany", name="custom-llm", model_name="{model}")


@chute.cord(public_api_path="/custom_generate")
async def custom_generate(self, prompt: str, style: str = "formal"):
    result = await self.generate({{"formal": "Formally: "}}.get(style, "") + prompt)
    return {{"generated_text": result, "style": style}}


@chute.cord("/tell", stream=True, output_content_type="text/plain")
async def tell(self, prompt: str):
    async for piece in self.generate_stream(prompt, max_tokens=8):
        yield piece
"""


@contextmanager
def served(folder: Path, model: str) -> Iterator[ChuteProcess]:
    (folder / "app.py").write_text(FILE.format(model=model))
    environ = {"CHUTES_ENGINE_PYTHON": engine_python("transformers")}
    with chute_process(
        "app.py", "--port", "0", folder=folder, log=folder / "output.log", **environ
    ) as process:
        process.wait_until(lambda: any("url" in line for line in process.lines), START_SECONDS)
        yield process


def openai_client(process: ChuteProcess) -> openai.OpenAI:
    http = httpx2.Client(trust_env=False)
    return openai.OpenAI(
        base_url=f"{process.url}/v1", api_key="none", max_retries=0, timeout=120, http_client=http
    )


def test_a_model_without_a_chat_template_continues_what_it_is_given(tmp_path):
    make_tiny_gpt2(tmp_path / "gpt2")
    with (
        served(tmp_path, "gpt2") as process,
        process.client() as http,
        openai_client(process) as client,
    ):
        answer = http.post("/custom_generate", json={"prompt": "Hello"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["style"] == "formal"
        # What random numbers say may be anything, and nothing.
        assert isinstance(answer.json()["generated_text"], str)
        assert http.post("/tell", json={"prompt": "Hello"}).status_code == 200
        text = client.completions.create(model="gpt2", prompt="Hello", max_tokens=4)
        assert 1 <= text.usage.completion_tokens <= 4
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="gpt2", messages=[{"role": "user", "content": "Hello"}])
        assert refused.value.code == "no_chat_template"
        assert [model.id for model in client.models.list()] == ["gpt2"]


def test_a_model_with_a_chat_template_is_asked_in_a_conversation(tmp_path):
    make_tiny_llama(tmp_path / "llama")
    messages = [{"role": "user", "content": "Hello"}]
    with (
        served(tmp_path, "./llama") as process,
        process.client() as http,
        openai_client(process) as client,
    ):
        answer = client.chat.completions.create(model="llama", messages=messages, max_tokens=8)
        assert answer.choices[0].message.role == "assistant"
        events = list(
            client.chat.completions.create(model="llama", messages=messages, max_tokens=8, stream=True)
        )
        assert events[-1].choices[0].finish_reason
        with pytest.raises(openai.NotFoundError):
            # The engine by itself would go and look for it on the hub.
            client.chat.completions.create(model="acme/other", messages=messages)
        assert http.post("/tell", json={"prompt": "Hello"}).status_code == 200
