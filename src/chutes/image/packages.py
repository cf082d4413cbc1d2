"""Steps that install software: Debian packages, Python packages, Python itself."""

import re
import shlex
from collections.abc import Iterable

from chutes.errors import DefinitionError
from chutes.image.step import Step, as_words, one_line

__all__ = ["apt_install", "apt_remove", "check_python", "pip_install", "python"]

_UV = "ghcr.io/astral-sh/uv:0.12.10"
# name[:architecture][=version | /release], with patterns: g++, libstdc++6, libc6:amd64, x=1:2.3-1, python3.*
_APT_PACKAGE = re.compile(
    r"[A-Za-z0-9*?][A-Za-z0-9+.*?-]*(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~*_-]+|/[A-Za-z0-9.+~_-]+)?"
)
_TWO_NAMES = re.compile(r"[\w\])]\s+[A-Za-z]")


def apt_install(*packages: str | Iterable[str]) -> Step:
    """Debian packages; the lists that apt fetches are not kept."""
    return Step(
        text="RUN apt-get update"
        f" && DEBIAN_FRONTEND=noninteractive apt-get install -y {_apt_packages('apt_install', packages)}"
        " && rm -rf /var/lib/apt/lists/*"
    )


def apt_remove(*packages: str | Iterable[str]) -> Step:
    """Debian packages that the base brings and the chute does not want."""
    return Step(text=f"RUN apt-get remove -y {_apt_packages('apt_remove', packages)}")


def pip_install(*packages: str | Iterable[str], index_url: str | None, extra_index_url: str | None) -> Step:
    """Python packages, each a requirement as pip takes it."""
    words = ["RUN pip install --no-cache-dir"]
    for flag, url in (("--index-url", index_url), ("--extra-index-url", extra_index_url)):
        if url is not None:
            words.append(f"{flag} {shlex.quote(one_line(flag, url))}")
    words += [shlex.quote(_requirement(package)) for package in as_words("pip_install()", packages)]
    return Step(text=" ".join(words))


def check_python(version: object) -> str:
    """Return a version such as 3.12 or 3.12.4.

    Raises:
        DefinitionError: it is something else.
    """
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+(?:\.\d+)?", version):
        raise DefinitionError(f"Invalid Python version {version!r}. Write it as text, for example '3.12'.")
    return version


def python(version: str) -> Step:
    """A Python of this version in an environment of its own, first on the path."""
    return Step(
        text=f"COPY --from={_UV} /uv /usr/local/bin/uv\n"
        "ENV UV_PYTHON_INSTALL_DIR=/opt/python VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH\n"
        f"RUN uv venv --seed --managed-python --python {check_python(version)} /opt/venv"
    )


def _apt_packages(method: str, packages: Iterable[str | Iterable[str]]) -> str:
    names = [name for words in as_words(f"{method}()", packages) for name in words.split() or [words]]
    for name in names:
        if not _APT_PACKAGE.fullmatch(name):
            raise DefinitionError(
                f"Invalid package {name!r} of {method}(). Write a Debian package,"
                " for example 'git', 'g++' or 'python3.11=3.11.2-6'."
            )
    return " ".join(map(shlex.quote, names))


def _requirement(package: str) -> str:
    text = package.strip()
    if not text or text.startswith("-"):
        raise DefinitionError(
            f"Invalid package {package!r} of pip_install(). Write a requirement such as 'torch>=2.4';"
            " for options write run_command('pip install …')."
        )
    if _TWO_NAMES.search(text.partition(";")[0]):
        raise DefinitionError(f"Invalid package {package!r} of pip_install(). Pass each one by itself.")
    return text
