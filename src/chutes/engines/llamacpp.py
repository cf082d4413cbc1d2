"""llama.cpp, through xllamacpp: GGUF files, at their best on a CPU."""

from pathlib import Path

from chutes.engines.engine import CPU_CONTEXT, Engine, Launch

__all__ = ["LLAMACPP"]

# Run by path, in an interpreter that need not have this package.
_SERVER = Path(__file__).with_name("llamacpp_server.py")
# Each slot keeps memory for a whole context, and on a CPU more of them make no token come sooner.
_MOST_SLOTS = 32
_MOST_SLOTS_ON_CPU = 8


def _argv(launch: Launch) -> list[str]:
    slots = min(launch.concurrency, _MOST_SLOTS if launch.hardware.gpus else _MOST_SLOTS_ON_CPU)
    context = launch.context or min(launch.model.context_length or CPU_CONTEXT, CPU_CONTEXT)
    argv = [launch.python, str(_SERVER), "--model", str(launch.model.path), "--port", str(launch.port)]
    # The cache is one for all slots: its size is what each may use, times their number.
    argv += [
        "--parallel",
        str(slots),
        "--ctx-size",
        str(context * slots),
        "--threads",
        str(launch.hardware.cores),
    ]
    # It answers to every name, and signs with one: of several it would take any.
    argv += ["--alias", launch.spec.served_name]
    if launch.spec.task == "embed":
        argv += ["--embedding"]
    return [*argv, *launch.arguments]


LLAMACPP = Engine(
    name="llamacpp",
    title="llama.cpp",
    tasks=frozenset({"generate", "embed"}),
    forms=("gguf",),
    version=lambda installed: installed.named("xllamacpp"),
    packages=lambda _hardware: "xllamacpp",
    argv=_argv,
    environment=lambda launch: {"LLAMA_API_KEY": launch.key},
    start_timeout=600.0,
    verified=True,
)
