"""The Dockerfile of a chute: the recipe of its image, then the framework, the chute's files, and how it runs."""

import json
import shlex
from dataclasses import dataclass

from chutes.chute import Chute
from chutes.chute.chute import definition_of
from chutes.image import Image

__all__ = ["APP", "DIGEST_LABEL", "FOLDER", "REQUIREMENTS", "Recipe", "containerfile"]

FOLDER = ".chutes"
"""Where the context holds what does not come from the chute's folder."""
APP = f"{FOLDER}/app"
REQUIREMENTS = f"{FOLDER}/requirements.txt"
DIGEST_LABEL = "chutes.digest"

_PORT = 8000
_USER = "10001:10001"
_ACCOUNT = "chute:x:10001:10001::/home/chute:/bin/sh"
_HOME = "/var/lib/chutes"
_APART = "/opt/chutes/venv"
_ENGINE_PYTHON = "/opt/chutes/engine-python"
# An environment without libraries of its own that finds those of the base, after its own; a link to an interpreter
# would lose the environment that it belongs to, so the engine's is a script.
_SET_APART = " && ".join(
    (
        f"python3 -m venv --without-pip {_APART}",
        "python3 -c 'import site; print(*site.getsitepackages(), sep=chr(10))' > /opt/chutes/base.pth",
        f"mv /opt/chutes/base.pth $({_APART}/bin/python -c 'import site; print(site.getsitepackages()[0])')",
        f"""printf '#!/bin/sh\\nexec %s "$@"\\n' $(command -v python3) > {_ENGINE_PYTHON}""",
        f"chmod 755 {_ENGINE_PYTHON}",
    )
)
_PROBE = (
    "import os, urllib.request; "
    "urllib.request.urlopen('http://127.0.0.1:' + os.environ['CHUTES_PORT'] + '/readyz', timeout=4)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a chute's Dockerfile is made of.

    Attributes:
        image: the chute's image: a recipe, or the reference of its base.
        target: the chute as `chutes run` takes it in the folder of its files.
        wheel: the file name of the framework's wheel.
        requirements: there is a `requirements.txt` to install.
        engine: the base holds the engine of the chute's model, with versions of our libraries that are not ours.
        labels: what else the image says of itself.
    """

    image: Image | str
    target: str
    wheel: str
    requirements: bool = False
    engine: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, chute: Chute, target: str, wheel: str, *, requirements: bool) -> "Recipe":
        """The recipe of a chute; its name and revision become labels as the OCI annotations spell them."""
        config, engine = chute.config, definition_of(chute).engine
        labels = {
            "org.opencontainers.image.title": f"{config.username}/{config.name}",
            "org.opencontainers.image.description": config.tagline,
            "org.opencontainers.image.revision": config.revision or "",
        }
        return cls(
            image=config.image,
            target=target,
            wheel=wheel,
            requirements=requirements,
            engine=engine is not None and engine.python is None,
            labels=tuple((key, value) for key, value in labels.items() if value),
        )


def containerfile(recipe: Recipe) -> str:
    """The text of the Dockerfile.

    The user, folder, entry point and health check that the recipe sets stay as they are; otherwise the chute runs as
    a user of its own in `/app`, and its health check asks `/readyz`.
    """
    base = str(recipe.image) if isinstance(recipe.image, Image) else f"FROM {recipe.image}"
    steps = recipe.image.steps if isinstance(recipe.image, Image) else ()
    said = {word: rest for word, _, rest in (step.text.partition(" ") for step in steps)}
    user, folder = said.get("USER", _USER), said.get("WORKDIR", "/app")
    lines = [base]
    if "USER" in said:
        lines.append("USER root")
    lines += _installed(recipe)
    lines.append(f"RUN {_prepared(user, folder, make_user='USER' not in said)}")
    lines.append(f"ENV CHUTES_HOST=0.0.0.0 CHUTES_PORT={_PORT} CHUTES_HOME={_HOME} PYTHONUNBUFFERED=1")
    lines += [f"WORKDIR {folder}", f"COPY --chown={user} {APP}/ {folder.rstrip('/')}/", f"USER {user}"]
    lines.append(f"EXPOSE {_PORT}")
    if "HEALTHCHECK" not in said:
        # A model may take an hour to load; failures count only after that, and one success ends the wait.
        probe = json.dumps(["python3", "-c", _PROBE])
        lines.append(f"HEALTHCHECK --interval=10s --timeout=5s --start-period=1h CMD {probe}")
    lines += [f"LABEL {key}={shlex.quote(value)}" for key, value in recipe.labels if "\n" not in value]
    if "ENTRYPOINT" not in said:
        # The entry point of the base would take our command for its arguments.
        lines.append("ENTRYPOINT []")
    program = f"{_APART}/bin/chutes" if recipe.engine else "chutes"
    lines.append(f"CMD {json.dumps([program, 'run', recipe.target])}")
    return "\n".join(lines) + "\n"


def _installed(recipe: Recipe) -> list[str]:
    """The chute's requirements go to the base, and so does the framework, unless an engine lives there."""
    wheel = f"/opt/chutes/{recipe.wheel}"
    lines = [f"COPY {FOLDER}/{recipe.wheel} {wheel}"]
    if recipe.engine:
        lines += [
            f"RUN {_SET_APART}",
            f"RUN pip --python {_APART}/bin/python install --no-cache-dir {wheel}",
            f"ENV CHUTES_ENGINE_PYTHON={_ENGINE_PYTHON}",
        ]
    else:
        lines.append(f"RUN pip install --no-cache-dir {wheel}")
    if recipe.requirements:
        lines += [
            f"COPY {REQUIREMENTS} /opt/chutes/requirements.txt",
            "RUN pip install --no-cache-dir --requirement /opt/chutes/requirements.txt",
        ]
    return lines


def _prepared(user: str, folder: str, *, make_user: bool) -> str:
    """A shell command that makes the user, and the folders that it writes to."""
    commands = []
    if make_user:
        # Written by hand, since useradd is not in every image; libraries ask for the user's name and home.
        commands += [
            "mkdir -p /home/chute",
            f"echo {shlex.quote(_ACCOUNT)} >> /etc/passwd",
            "echo chute:x:10001: >> /etc/group",
            f"chown {user} /home/chute",
        ]
    quoted = shlex.quote(folder)
    commands += [f"mkdir -p {_HOME} {quoted}", f"chown {shlex.quote(user)} {_HOME} {quoted}"]
    return " && ".join(commands)
