"""The server that comes with transformers: every architecture, more slowly."""

from pathlib import Path

from chutes.engines.engine import Engine, Launch
from chutes.engines.installed import Installed
from chutes.engines.port import LOOPBACK

__all__ = ["TRANSFORMERS"]

# The first with `serve` as a command of this form.
_OLDEST = 5
_MEMORY_SHARE = "0.1"


def _version(installed: Installed) -> str | None:
    version = installed.versions.get("transformers", "0")
    needed = {"torch", "fastapi", "uvicorn"} <= installed.versions.keys()
    major = version.partition(".")[0]
    recent = major.isdigit() and int(major) >= _OLDEST
    return f"transformers {version}" if needed and recent else None


def _argv(launch: Launch) -> list[str]:
    model = launch.spec.served_name if _is_link_name(launch.spec.served_name) else str(launch.model.path)
    argv = [launch.python, "-m", "transformers.cli.transformers", "serve", model]
    argv += ["--host", LOOPBACK, "--port", str(launch.port), "--continuous-batching"]
    if not launch.hardware.gpus:
        # Its own 60 % of the main memory is written to before the first answer.
        argv += ["--cb-max-memory-percent", _MEMORY_SHARE]
    return [*argv, *launch.arguments]


def _lay_out(launch: Launch, folder: Path) -> None:
    """Give the model's folder the name that callers write: the server knows a model by its path alone."""
    name = launch.spec.served_name
    if _is_link_name(name):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(launch.model.path, target_is_directory=True)


def _is_link_name(name: str) -> bool:
    # The server takes what stands behind "@" for a revision, and behind ":" for a file.
    parts = name.split("/")
    return not {"", ".", ".."} & set(parts) and not any(sign in name for sign in "@:~")


def _environment(launch: Launch) -> dict[str, str]:
    variables = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    return variables if launch.hardware.gpus else variables | {"OMP_NUM_THREADS": str(launch.hardware.cores)}


TRANSFORMERS = Engine(
    name="transformers",
    title="transformers",
    tasks=frozenset({"generate"}),
    forms=("folder",),
    version=_version,
    packages=lambda _hardware: 'torch "transformers[serving]>=5.19"',
    argv=_argv,
    environment=_environment,
    lay_out=_lay_out,
    has_key=False,
    verified=True,
)
