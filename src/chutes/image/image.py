"""The recipe of a container image, written step by step."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Self

from chutes.errors import DefinitionError
from chutes.image import commands, container, files, packages
from chutes.image.files import StrPath
from chutes.image.reference import check_reference
from chutes.image.step import Step, some_text
from chutes.suggestions import did_you_mean

__all__ = ["Image"]

_DEFAULT_PYTHON = "3.11"
_NAME = re.compile(r"[A-Za-z0-9]+(?:(?:\.|__?|-+)[A-Za-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_METHODS_FOR: Mapping[str, str] = MappingProxyType(
    {"python_version": ".with_python('3.12')", "base_image": ".from_base('python:3.12-slim')"}
)


class Image:
    """The recipe of a container image. Every method adds a step, checks it at once and returns the image.

    Without `from_base` it starts from `python:3.11-slim`. Nothing is read or built here: `str(image)` is the
    Dockerfile, and `chutes build` builds it.

    Args:
        username: first part of the image's reference.
        name: second part.
        tag: what comes after the colon.
        readme: a description in Markdown.

    Raises:
        DefinitionError: a part that no reference can have, or an unknown keyword.

    Example:
        >>> image = Image("mycompany", "custom-ai", tag="1.0").pip_install("torch>=2.4")
        >>> print(image.with_env("HF_HOME", "/cache"))
        FROM python:3.11-slim
        RUN pip install --no-cache-dir 'torch>=2.4'
        ENV HF_HOME=/cache
    """

    def __init__(
        self, username: str, name: str, tag: str = "latest", readme: str = "", **unknown: object
    ) -> None:
        for keyword in unknown:
            method = _METHODS_FOR.get(keyword)
            hint = f" Write Image(…){method}." if method else did_you_mean(keyword, _PARAMETERS)
            raise DefinitionError(
                f"Image has no parameter {keyword!r}.{hint} It takes {', '.join(_PARAMETERS)}."
            )
        self.username: Final = _checked("username", username, _NAME, "mycompany")
        self.name: Final = _checked("name", name, _NAME, "custom-ai")
        self.tag: Final = _checked("tag", tag, _TAG, "1.0")
        self.readme: Final = some_text("readme", readme)
        self._base: str | None = None
        self._python: str | None = None
        self._python_step: Step | None = None
        self._steps: list[Step] = []

    @property
    def reference(self) -> str:
        """What the recipe is called, `username/name:tag`; registries want the names in lower case."""
        return f"{self.username}/{self.name}".lower() + f":{self.tag}"

    @property
    def base(self) -> str:
        """The image that this one starts from."""
        return self._base or f"python:{self._python or _DEFAULT_PYTHON}-slim"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps after the base, as written."""
        return tuple(step for step in self._steps if self._base or step is not self._python_step)

    @property
    def digest(self) -> str:
        """`sha256:…` of the recipe's text. The contents of added files are no part of it."""
        import hashlib

        return f"sha256:{hashlib.sha256(str(self).encode()).hexdigest()}"

    def __str__(self) -> str:
        return "\n".join([f"FROM {self.base}", *(step.text for step in self.steps)])

    def __repr__(self) -> str:
        return f"<Image {self.reference} from {self.base}, {len(self.steps)} steps>"

    def from_base(self, base: str) -> Self:
        """Start from this image instead of `python:3.11-slim`."""
        self._base = check_reference(base)
        return self

    def with_python(self, version: str = _DEFAULT_PYTHON) -> Self:
        """Use this version of Python.

        Without `from_base` it chooses the base; on a base of your own it installs Python in `/opt/venv`,
        first on the path.
        """
        if self._python is not None:
            raise DefinitionError(
                f"with_python({version!r}): the image has Python {self._python} already. Say it once."
            )
        self._python_step = packages.python(version)
        self._python = version
        return self._record(self._python_step)

    def apt_install(self, *packages_: str | Iterable[str]) -> Self:
        """Install Debian packages: names as apt takes them (`g++`, `git=1:2.39.5-0`), or lists of names."""
        return self._record(packages.apt_install(*packages_))

    def apt_remove(self, *packages_: str | Iterable[str]) -> Self:
        """Remove Debian packages."""
        return self._record(packages.apt_remove(*packages_))

    def pip_install(
        self,
        *packages_: str | Iterable[str],
        index_url: str | None = None,
        extra_index_url: str | None = None,
    ) -> Self:
        """Install Python packages: requirements (`torch>=2.4`), or lists of them."""
        return self._record(
            packages.pip_install(*packages_, index_url=index_url, extra_index_url=extra_index_url)
        )

    def run_command(self, command: str) -> Self:
        """Run a shell command; it may have several lines."""
        return self._record(commands.run(command))

    def with_env(self, key: str, value: str | float) -> Self:
        """Set an environment variable to exactly this value.

        Only a mention of itself is expanded, as in `with_env("PATH", "/opt/bin:$PATH")`.
        """
        return self._record(container.env(key, value))

    def with_label(self, key: str, value: str) -> Self:
        """Set a label."""
        return self._record(container.label(key, value))

    def with_maintainer(self, maintainer: str) -> Self:
        """Say whom to ask about the image."""
        return self._record(container.label("org.opencontainers.image.authors", maintainer))

    def set_user(self, user: str) -> Self:
        """Run the following steps and the container as this user (`app`, `app:app` or `1000:1000`)."""
        return self._record(container.user(user))

    def set_workdir(self, directory: str) -> Self:
        """Run the following steps and the container in this folder, made if it is not there."""
        return self._record(container.workdir(directory))

    def expose(self, port: int, proto: str = "tcp") -> Self:
        """Say that the container listens on this port, "tcp" or "udp"."""
        return self._record(container.expose(port, proto))

    def add(  # noqa: PLR0917 - the public SDK's order
        self,
        source: StrPath,
        dest: StrPath,
        keep_git_dir: bool = False,
        checksum: str | None = None,
        chown: str | None = None,
        chmod: str | None = None,
        exclude: Iterable[str] | None = None,
        build_dir: StrPath | None = None,
    ) -> Self:
        """Add files, an archive that is unpacked, or what a URL leads to.

        Args:
            source: a path or pattern from the folder of the chute's file, or a URL. It is looked for when the
                image is built, not before.
            dest: where it goes.
            keep_git_dir: keep `.git` of a repository's URL.
            checksum: what a URL must lead to, `sha256:…`.
            chown: its owner, `user` or `user:group`.
            chmod: its mode in octal digits, `755`.
            exclude: patterns of files that stay out.
            build_dir: the folder that `source` is in.
        """
        return self._record(
            files.add(
                source,
                dest,
                keep_git_dir=keep_git_dir,
                checksum=checksum,
                chown=chown,
                chmod=chmod,
                exclude=exclude,
                build_dir=build_dir,
            )
        )

    def copy(
        self,
        source: StrPath,
        dest: StrPath,
        *,
        chown: str | None = None,
        chmod: str | None = None,
        exclude: Iterable[str] | None = None,
        build_dir: StrPath | None = None,
    ) -> Self:
        """Copy files as they are; the parameters are those of `add`."""
        return self._record(
            files.copy(source, dest, chown=chown, chmod=chmod, exclude=exclude, build_dir=build_dir)
        )

    def with_entrypoint(self, *arguments: str | Iterable[str]) -> Self:
        """Set the program that the container runs: its words, or one text that is split as a shell would."""
        return self._record(commands.entrypoint(*arguments))

    def healthcheck(
        self,
        command: str,
        interval: float = 30,
        timeout: float = 5,
        start_period: float = 0,
        retries: int = 3,
    ) -> Self:
        """Set the shell command that ends with 0 while the container is healthy; times are in seconds."""
        return self._record(
            commands.healthcheck(
                command, interval=interval, timeout=timeout, start_period=start_period, retries=retries
            )
        )

    def _record(self, step: Step) -> Self:
        self._steps.append(step)
        return self


_PARAMETERS = ("username", "name", "tag", "readme")


def _checked(parameter: str, value: object, pattern: re.Pattern[str], example: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise DefinitionError(
            f"Invalid {parameter} {value!r} of an Image. Write letters and digits, with '.', '_', '-' between,"
            f" for example {example!r}."
        )
    return value
