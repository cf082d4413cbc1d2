"""SGLang, on CUDA."""

from chutes.engines.engine import Engine, Launch
from chutes.engines.hardware import Hardware
from chutes.engines.installed import Installed
from chutes.engines.port import LOOPBACK

__all__ = ["SGLANG"]


def _argv(launch: Launch) -> list[str]:
    argv = [launch.python, "-m", "sglang.launch_server", "--model-path", str(launch.model.path)]
    argv += ["--host", LOOPBACK, "--port", str(launch.port), "--api-key", launch.key]
    argv += [
        "--served-model-name",
        launch.spec.served_name,
        "--max-running-requests",
        str(launch.concurrency),
    ]
    if launch.context is not None:
        argv += ["--context-length", str(launch.context)]
    if launch.gpus > 1:
        argv += ["--tp-size", str(launch.gpus)]
    if launch.spec.task == "embed":
        argv += ["--is-embedding"]
    return [*argv, *launch.arguments]


def _obstacle(hardware: Hardware, _installed: Installed) -> str | None:
    return None if hardware.gpus else "it needs a GPU, and this machine has none"


SGLANG = Engine(
    name="sglang",
    title="SGLang",
    tasks=frozenset({"generate", "embed"}),
    forms=("folder",),
    version=lambda installed: installed.named("sglang"),
    obstacle=_obstacle,
    packages=lambda _hardware: '"sglang[all]"',
    argv=_argv,
    environment=lambda _launch: {"DO_NOT_TRACK": "1"},
)
