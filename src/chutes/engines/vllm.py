"""vLLM: its CUDA build by `vllm serve`, its CPU build by module."""

from chutes.engines.engine import Engine, Launch
from chutes.engines.hardware import Hardware
from chutes.engines.installed import Installed
from chutes.engines.port import LOOPBACK

__all__ = ["VLLM"]

_GIB = 1024**3
_CPU_CAUTION = (
    "It wants the CPU build of torch that it was made for, installed first from PyTorch's own index."
)


def _is_cpu_build(installed: Installed) -> bool:
    return "vllm" not in installed.versions or installed.cuda is None


def _argv(launch: Launch) -> list[str]:
    model = str(launch.model.path)
    if _is_cpu_build(launch.installed):
        # The `vllm` command of the CPU build may look for a distribution of the name vllm, and die.
        start = ["-m", "vllm.entrypoints.openai.api_server", "--model", model, "--enforce-eager"]
    else:
        start = ["-m", "vllm.entrypoints.cli.main", "serve", model]
    argv = [launch.python, *start, "--host", LOOPBACK, "--port", str(launch.port)]
    argv += ["--served-model-name", *launch.names, "--max-num-seqs", str(launch.concurrency)]
    argv += ["--disable-uvicorn-access-log"]
    if launch.context is not None:
        argv += ["--max-model-len", str(launch.context)]
    if launch.gpus > 1:
        argv += ["--tensor-parallel-size", str(launch.gpus)]
    if launch.spec.task == "embed":
        argv += ["--runner", "pooling"]
    return [*argv, *launch.arguments]


def _environment(launch: Launch) -> dict[str, str]:
    variables = {"VLLM_API_KEY": launch.key, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if _is_cpu_build(launch.installed):
        # Half of the memory at most, in whole GiB as it wants them; its own default is 4.
        cache = max(1, min(4, launch.hardware.memory_bytes // _GIB // 8))
        variables |= {"VLLM_CPU_KVCACHE_SPACE": str(cache), "OMP_NUM_THREADS": str(launch.hardware.cores)}
    return variables


def _obstacle(hardware: Hardware, installed: Installed) -> str | None:
    if not hardware.gpus and not _is_cpu_build(installed):
        return "its CUDA build is installed, and this machine has no GPU"
    return None


VLLM = Engine(
    name="vllm",
    title="vLLM",
    tasks=frozenset({"generate", "embed"}),
    forms=("folder",),
    version=lambda installed: installed.named("vllm", "vllm-cpu"),
    obstacle=_obstacle,
    packages=lambda hardware: "vllm" if hardware.gpus else "vllm-cpu",
    caution=lambda hardware: "" if hardware.gpus else _CPU_CAUTION,
    argv=_argv,
    environment=_environment,
    verified=True,
)
