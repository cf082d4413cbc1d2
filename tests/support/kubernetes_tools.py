"""kubectl and the schemas of Kubernetes, from an environment that .ci/engines.sh makes."""

import os
from pathlib import Path

from support.require import require


def kubernetes_tool(name: str) -> str:
    """The path of a program of that environment."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("CHUTES_TEST_ENGINES") or Path(cache) / "chutes-ci" / "engines")
    program = folder / "kubernetes" / "bin" / name
    require(program.exists(), f"There is no {program}; `bash .ci/engines.sh kubernetes` makes it.")
    return str(program)
