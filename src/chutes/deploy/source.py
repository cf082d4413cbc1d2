"""Which file a chute was written in, said so that the same file on another machine is the same source."""

import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["source_of"]

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/@]*@)?(?P<rest>.*)", re.IGNORECASE)
# git@host:path, as ssh takes it; a single letter before the colon would be a drive.
_SHORT = re.compile(r"(?:[^/@:]+@)?(?P<host>[^/:]{2,}):(?P<path>.+)")
_LIMIT_SECONDS = 10


def source_of(file: Path) -> str:
    """`host/repository:path/in/it` in a git repository with a remote, else the file's absolute path.

    However the remote was cloned, over HTTPS or SSH, with a token or without, it is the same source; nothing of a login
    is kept.
    """
    place = file.resolve()
    remote = _git(place.parent, "remote", "get-url", "origin") or _first_remote(place.parent)
    prefix = _git(place.parent, "rev-parse", "--show-prefix")
    if not remote or prefix is None:
        return str(place)
    return f"{_bare(remote)}:{prefix}{place.name}"


def _first_remote(folder: Path) -> str | None:
    names = (_git(folder, "remote") or "").split()
    return _git(folder, "remote", "get-url", names[0]) if names else None


def _bare(remote: str) -> str:
    """The address of a remote without its scheme, login, query and `.git`."""
    if scheme := _SCHEME.fullmatch(remote):
        address = scheme["rest"]
        host, slash, path = address.partition("/")
        # The host's name knows no case; the path may.
        address = f"{host.lower()}{slash}{path}"
    elif short := _SHORT.fullmatch(remote):
        address = f"{short['host'].lower()}/{short['path'].lstrip('/')}"
    else:
        address = remote
    return re.split(r"[?#]", address)[0].rstrip("/").removesuffix(".git")


def _git(folder: Path, *words: str) -> str | None:
    """What git says, None when it is not installed, or the folder is in no repository."""
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "-C", str(folder), *words]
    try:
        asked = subprocess.run(  # noqa: S603 - no shell
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
