"""The server that comes with transformers: every architecture, more slowly."""

from chutes.engines.engine import Engine, Launch
from chutes.engines.installed import Installed
from chutes.engines.port import LOOPBACK

__all__ = ["TRANSFORMERS"]

# The first with `serve` as a command of this form.
_OLDEST = 5


def _version(installed: Installed) -> str | None:
    version = installed.versions.get("transformers", "0")
    needed = {"torch", "fastapi", "uvicorn"} <= installed.versions.keys()
    major = version.partition(".")[0]
    recent = major.isdigit() and int(major) >= _OLDEST
    return f"transformers {version}" if needed and recent else None


def _argv(launch: Launch) -> list[str]:
    argv = [launch.python, "-m", "transformers.cli.transformers", "serve", str(launch.model.path)]
    argv += ["--host", LOOPBACK, "--port", str(launch.port), "--continuous-batching"]
    return [*argv, *launch.arguments]


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
    has_key=False,
    verified=True,
)
