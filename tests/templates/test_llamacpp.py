"""A template's chute as its users serve it, with llama.cpp and a real small model, through the official OpenAI client."""

import concurrent.futures
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from support.child_processes import is_alive, wait_until_gone
from support.chute_process import ChuteProcess, chute_process
from support.engines import engine_python, small_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Written as files for the public platform are.
FILE = """
from chutes.chute import NodeSelector
from chutes.chute.template.vllm import build_vllm_chute

chute = build_vllm_chute(
    username="acme",
    model_name={model!r},
    revision="0123456789abcdef0123456789abcdef01234567",
    node_selector=NodeSelector(gpu_count=8, min_vram_gb_per_gpu=140),
    concurrency=8,
    readme="A small model",
    engine_args='''
        --max-model-len 2048
        --served-model-name smol
        --enable-auto-tool-choice --tool-call-parser hermes
        --limit-mm-per-prompt '{{"image": 0}}'
    ''',
).chute


@chute.on_startup()
async def think(self):
    self.thought = await self.generate(FRANCE, max_tokens=24, temperature=0)


@chute.cord(public_api_path="/thought", method="GET")
async def thought(self) -> str:
    return self.thought


FRANCE = [
    {{"role": "system", "content": "You are a helpful assistant."}},
    {{"role": "user", "content": "What is the capital of France?"}},
]
"""
FRANCE = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather now",
        "parameters": {
            "type": "object",
            "properties": {"unit": {"enum": ["C", "F"]}},
            "required": ["unit"],
            "additionalProperties": False,
        },
    },
}
# The model repeats what it is told, and the engine reads a call out of that.
CALL = [
    {
        "role": "user",
        "content": 'Repeat exactly: <tool_call>\n{"name": "weather", "arguments": {"unit": "C"}}\n</tool_call>',
    }
]
TOOLS_FILE = """
from chutes.templates import build_vllm_chute

chute = build_vllm_chute(
    username="acme",
    model_name={model!r},
    engine_args=["--served-model-name", "smol", "--max-model-len", "1024", "--chat-template", {template!r}],
)
"""
TOOLS = (
    "{%- if tools %}{{- '<|im_start|>system\\nYou may call a function.\\n<tools>' }}"
    "{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}"
    '{{- \'\\n</tools>\\nAnswer with <tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\' }}'
    "{{- '\\n</tool_call><|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' and message.tool_calls %}"
    "{{- '<|im_start|>assistant' }}{%- if message.content %}{{- '\\n' + message.content }}{%- endif %}"
    "{%- for tool_call in message.tool_calls %}"
    "{%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}"
    '{{- \'\\n<tool_call>\\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}'
    "{{- tool_call.arguments | tojson }}{{- '}\\n</tool_call>' }}"
    "{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' %}"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
ENDLESS = {
    "model": "smol",
    "prompt": "Once",
    "max_tokens": 1800,
    "stream": True,
    "extra_body": {"ignore_eos": True},
}
START_SECONDS = 120


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ChuteProcess]:
    (tmp_path / "app.py").write_text(FILE.format(model=str(small_model())))
    environ = {"CHUTES_ENGINE_PYTHON": engine_python("llamacpp")}
    with chute_process(
        "app:chute", "--port", "0", folder=tmp_path, log=tmp_path / "output.log", **environ
    ) as process:
        process.wait_until(lambda: any("url" in line for line in process.lines), START_SECONDS)
        yield process


@pytest.fixture
def client(served: ChuteProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{served.url}/v1",
        api_key="none",
        max_retries=0,
        timeout=120,
        http_client=httpx2.Client(trust_env=False),
    ) as client:
        yield client


def engine_of(served: ChuteProcess) -> int:
    """The process of the engine: the one of ours whose command line has the model."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"llamacpp_server.py") or b"llamacpp_server" in word for word in words):
            pid = int(entry.parent.name)
            if session_of(pid) == session_of(served.process.pid) or is_below(pid, served.process.pid):
                return pid
    raise AssertionError(served.text)


def session_of(pid: int) -> int:
    return os.getsid(pid)


def is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def test_the_openai_client_talks_to_a_real_model(served, client):
    answer = client.chat.completions.create(model="smol", messages=FRANCE, max_tokens=24, temperature=0)
    assert "Paris" in answer.choices[0].message.content
    assert answer.model == "smol"
    stream = client.chat.completions.create(
        model="smol", messages=FRANCE, max_tokens=24, temperature=0, stream=True
    )
    pieces = [event.choices[0].delta.content or "" for event in stream if event.choices]
    assert "".join(pieces) == answer.choices[0].message.content
    text = client.completions.create(
        model="smol", prompt="The capital of France is", max_tokens=4, temperature=0
    )
    assert "Paris" in text.choices[0].text
    assert [model.id for model in client.models.list()] == ["smol"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=FRANCE)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="smol", messages="no list")
    with served.client() as http:
        assert "Paris" in http.get("/thought").json()
        missing = http.post("/v1/chat/completions", json={"messages": FRANCE, "max_tokens": 4})
        assert missing.json()["model"] == "smol"
        health = http.get("/health").json()["engine"]
        assert (health["name"], health["model"], health["state"]) == ("llamacpp", "smol", "ready")
    assert any("--tool-call-parser" in message for message in served.messages)
    assert served.stop() == 0


def test_a_tool_call_comes_whole_and_in_pieces(tmp_path):
    template = tmp_path / "tools.jinja"
    template.write_text(TOOLS)
    (tmp_path / "app.py").write_text(TOOLS_FILE.format(model=str(small_model()), template=str(template)))
    environ = {"CHUTES_ENGINE_PYTHON": engine_python("llamacpp")}
    with (
        chute_process(
            "app:chute", "--port", "0", folder=tmp_path, log=tmp_path / "output.log", **environ
        ) as process,
        httpx2.Client(trust_env=False) as http,
    ):
        process.wait_until(lambda: any("url" in line for line in process.lines), START_SECONDS)
        client = openai.OpenAI(
            base_url=f"{process.url}/v1", api_key="none", max_retries=0, timeout=120, http_client=http
        )
        asked = {"model": "smol", "messages": CALL, "tools": [WEATHER], "temperature": 0, "max_tokens": 60}
        choice = client.chat.completions.create(**asked).choices[0]
        assert choice.finish_reason == "tool_calls", choice
        call = choice.message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"unit": "C"})
        with client.chat.completions.create(**asked, stream=True) as events:
            choices = [event.choices[0] for event in events if event.choices]
        pieces = [piece.function for one in choices for piece in one.delta.tool_calls or ()]
        assert [piece.name for piece in pieces if piece.name] == ["weather"]
        assert json.loads("".join(piece.arguments or "" for piece in pieces)) == {"unit": "C"}
        assert choices[-1].finish_reason == "tool_calls"
        told = {"role": "tool", "tool_call_id": call.id, "content": "20"}
        answer = client.chat.completions.create(
            model="smol", messages=[*CALL, choice.message, told], max_tokens=4
        )
        assert answer.choices[0].message.role == "assistant"


def test_a_killed_engine_ends_its_streams_with_an_error_and_comes_back(served, client):
    pid = engine_of(served)

    def read(stream: openai.Stream) -> str:
        try:
            for _ in stream:
                pass
        except (openai.APIError, httpx2.HTTPError):
            return "error"
        return "whole"

    streams = [client.completions.create(**ENDLESS) for _ in range(8)]
    for stream in streams:
        next(iter(stream))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        reading = [threads.submit(read, stream) for stream in streams]
        os.kill(pid, signal.SIGKILL)
        assert [one.result(timeout=60) for one in reading] == ["error"] * 8

    with served.client() as http:

        def is_back() -> bool:
            return (
                http.get("/health").json().get("engine", {}).get("restarts") == 1
                and http.get("/readyz").is_success
            )

        served.wait_until(is_back, START_SECONDS)
    answer = client.chat.completions.create(model="smol", messages=FRANCE, max_tokens=24, temperature=0)
    assert "Paris" in answer.choices[0].message.content


def test_a_killed_chute_leaves_no_engine(served, client):
    pid = engine_of(served)
    stream = client.completions.create(**ENDLESS)
    next(iter(stream))
    served.send(signal.SIGKILL)
    wait_until_gone([pid], seconds=20)
    assert not is_alive(pid)


def test_an_engine_that_cannot_start_ends_the_chute_with_its_own_words(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(small_model().read_bytes()[:4_000_000])
    (tmp_path / "app.py").write_text(FILE.format(model=str(broken)))
    environ = {"CHUTES_ENGINE_PYTHON": engine_python("llamacpp")}
    with chute_process(
        "app:chute", "--port", "0", folder=tmp_path, log=tmp_path / "output.log", **environ
    ) as process:
        assert process.wait(START_SECONDS) == 1
        assert "broken.gguf" in process.text
        assert "Traceback" not in process.text


def test_a_signal_while_the_engine_starts_ends_both(tmp_path):
    (tmp_path / "app.py").write_text(FILE.format(model=str(small_model())))
    environ = {"CHUTES_ENGINE_PYTHON": engine_python("llamacpp")}
    with chute_process(
        "app:chute", "--port", "0", folder=tmp_path, log=tmp_path / "output.log", **environ
    ) as process:
        process.wait_until_it_says("serves the model")
        process.send(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
