"""A template's chute as its users serve it, with llama.cpp and a real small model, through the official OpenAI client."""

import concurrent.futures
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
