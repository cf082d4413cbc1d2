"""Files in the style of those that were written for the public platform run unchanged."""

import sys
import warnings
from pathlib import Path

import pytest

from chutes.chute.chute import definition_of
from chutes.loading import load_chute
from chutes.testing import FakeEngine, TestClient

# Each as somebody would have written it for the platform: imports, values by name, the pack's `.chute` or the pack.
PACK = """
from chutes.chute import NodeSelector
from chutes.chute.template.vllm import build_vllm_chute

chute = build_vllm_chute(
    username="acme",
    readme="An assistant",
    model_name="acme/assistant-70b",
    image="chutes/vllm:nightly",
    concurrency=20,
    revision="0123456789abcdef0123456789abcdef01234567",
    node_selector=NodeSelector(gpu_count=8, min_vram_gb_per_gpu=140),
    engine_args=(
        "--max-model-len 32768 --trust-remote-code "
        "--enable-auto-tool-choice --tool-call-parser hermes"
    ),
    max_instances=3,
    scaling_threshold=0.5,
    shutdown_after_seconds=3600,
)
"""
POSITIONAL_FIELD = """
from chutes.chute import NodeSelector, ChutePack
from chutes.chute.template.sglang import build_sglang_chute, SGLangChute
from chutes.image import Image

image = (
    Image(username="acme", name="sglang", tag="0.5", readme="engine")
    .from_base("parachutes/python:3.12")
    .run_command("pip install --upgrade 'sglang[all]'")
    .with_env("SGL_ENABLE_JIT", "1")
)

pack: SGLangChute = build_sglang_chute(
    "acme",
    "acme/reasoner-32B-FP8",
    NodeSelector(gpu_count=2, min_vram_gb_per_gpu=80, include=["h100", "h200"]),
    image=image,
    engine_args='''
        --context-length 65536
        --chat-template "{% for m in messages %}{{ m.content }}{% endfor %}"
        --json-model-override-args '{"rope_scaling": {"factor": 4.0}}'
    ''',
)
chute = pack.chute
"""
EXTRA_CORDS = """
import json
from pydantic import BaseModel
from chutes.chute import NodeSelector
from chutes.chute.template import build_vllm_chute
from chutes.chute.template.vllm import ChatCompletionRequest, ChatMessage

pack = build_vllm_chute(
    username="acme",
    model_name="acme/ranker",
    node_selector=NodeSelector(gpu_count=1, min_vram_gb_per_gpu=24, exclude=["a40"]),
    engine_args=dict(task="score", gpu_memory_utilization=0.9, enable_prefix_caching=False),
    allow_external_egress=True,
)
chute = pack.chute


class Score(BaseModel):
    text_1: str
    text_2: str


@chute.cord(
    public_api_path="/score", public_api_method="POST", method="POST", passthrough=True,
    passthrough_path="/v1/completions", passthrough_port=10101, minimal_input_schema=Score,
    provision_timeout=60, sglang_passthrough=True, path="score_internal",
)
async def score(self, data): return data


@chute.on_startup()
async def warm(self):
    self.request = ChatCompletionRequest(messages=[ChatMessage(role="user", content="hi")])


@chute.cord(public_api_path="/summary", public_api_method="POST", stream=True)
async def summary(self, args: dict):
    async for piece in self.generate_stream(args["text"]):
        yield f"data: {json.dumps(piece)}\\n\\n"
"""
EMBEDDING = """
from chutes.chute import NodeSelector
from chutes.chute.template.embedding import build_embedding_chute

chute = build_embedding_chute(
    username="acme",
    model_name="acme/bge-large",
    node_selector=NodeSelector(gpu_count=1, min_vram_gb_per_gpu=16),
    pooling_type="auto",
    max_embed_len=8192,
    enable_chunked_processing=True,
    concurrency=64,
)
"""
FILES = {"pack": PACK, "image": POSITIONAL_FIELD, "cords": EXTRA_CORDS, "embedding": EMBEDDING}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def from_text(name: str):
        path = tmp_path / f"public_{name}.py"
        path.write_text(FILES[name])
        monkeypatch.chdir(tmp_path)
        with warnings.catch_warnings():
            # `public_api_method` is deprecated; the files have it all the same.
            warnings.simplefilter("ignore", DeprecationWarning)
            return load_chute(f"{path}:chute")

    before = set(sys.modules)
    yield from_text
    for name in set(sys.modules) - before:
        if name.startswith("public_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", FILES)
def test_a_public_file_is_served(load, name):
    chute = load(name)
    with TestClient(chute, engine=FakeEngine(definition_of(chute).engine.served_name)) as client:
        if name == "embedding":
            assert client.post("/v1/embeddings", json={"input": "x"}).json()["data"]
        else:
            body = {"model": chute.config.model_name, "messages": [{"role": "user", "content": "x"}]}
            assert client.post("/v1/chat/completions", json=body).json()["choices"]
        assert client.get("/v1/models").json()["data"][0]["id"] == chute.config.model_name


def test_what_a_public_file_says_of_the_engine_reaches_it(load):
    specs = {name: definition_of(load(name)).engine for name in FILES}
    assert specs["pack"].gpus == 8
    assert specs["pack"].revision == "0123456789abcdef0123456789abcdef01234567"
    assert specs["pack"].arguments[:3] == ("--max-model-len", "32768", "--trust-remote-code")
    assert specs["image"].arguments == (
        "--context-length", "65536",
        "--chat-template", "{% for m in messages %}{{ m.content }}{% endfor %}",
        "--json-model-override-args", '{"rope_scaling": {"factor": 4.0}}',
    )  # fmt: skip
    assert specs["cords"].arguments == (
        "--task", "score", "--gpu-memory-utilization", "0.9", "--no-enable-prefix-caching",
    )  # fmt: skip
    assert specs["embedding"].task == "embed"
    assert '"pooling_type": "CLS"' in specs["embedding"].arguments[1]


def test_extra_cords_of_a_public_file_reach_its_engine(load):
    chute = load("cords")
    engine = FakeEngine("acme/ranker")
    with TestClient(chute, engine=engine) as client:
        scored = client.post("/score", json={"model": "acme/ranker", "prompt": "one"})
        assert scored.json()["choices"][0]["text"] == "You said: one"
        told = client.post("/summary", json={"text": "a b"})
        assert told.text == 'data: "You"\n\ndata: " said:"\n\ndata: " a"\n\ndata: " b"\n\n'
        assert chute.request.messages[0].content == "hi"


@pytest.mark.parametrize("module", ["vllm", "sglang", "embedding"])
def test_the_public_modules_have_what_they_promise(module):
    found = __import__(f"chutes.chute.template.{module}", fromlist=["x"])
    assert all(getattr(found, name) is not None for name in found.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = found.nonsense
