"""The commands that make containers of a chute, as podman and docker know them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chutes.deploy.local.state import FrontState, InstanceState
from chutes.deploy.plan import PORT, Plan

__all__ = ["MODELS", "Order", "front_words", "instance_words", "names_of", "prefix_of"]

MODELS = "chutes.models"
"""The volume that keeps the weights of all chutes."""

_HOME = "/var/lib/chutes"
_MODELS = "/var/cache/chutes/models"
_FRONT = "/run/chutes-front"
_LOWEST_FREE_PORT = 1024
# The image's own Python has the framework, unless an engine's libraries kept it apart. What lies in the chute's folder is
# not to be taken for a module of Python's.
_START_FRONT = (
    'for python in /opt/chutes/venv/bin/python python3; do command -v "$python" >/dev/null && '
    'exec "$python" -I -m chutes.deploy.local.front "$@"; done; echo "no Python in this image" >&2; exit 1'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How instances of a chute are started.

    Attributes:
        tool: podman or docker.
        plan: what runs.
        home: the folder that remembers it: containers of another one are not ours.
        network: "host", or "own" for the tool's.
        secrets: what the tool calls the secret of each variable; None where it is handed over in the environment.
    """

    tool: str
    plan: Plan
    home: Path
    network: str
    secrets: Mapping[str, str | None]


def prefix_of(slug: str) -> str:
    """What names of all containers and volumes of a chute begin with; no username and no name has a dot."""
    return f"chutes.{slug.replace('/', '.')}"


def names_of(slug: str, revision: int, count: int) -> list[str]:
    """Names for new containers of a revision."""
    return [f"{prefix_of(slug)}.{revision}-{index}" for index in range(1, count + 1)]


def instance_words(order: Order, instance: InstanceState) -> list[str]:
    """The command that starts an instance; no value of a secret is in it."""
    plan = order.plan
    words = ["run", "--detach", "--name", instance.name, *labels(plan.slug, order.home, instance.revision)]
    words += ["--restart", "always", "--stop-timeout", str(stop_seconds(plan))]
    words += ["--security-opt", "no-new-privileges"]
    words += _network(order, instance.port)
    words += ["--volume", f"{prefix_of(plan.slug)}:{_HOME}", "--volume", f"{MODELS}:{_MODELS}"]
    words += _limits(plan, order.tool, instance.gpus)
    for name, value in _environment(order, instance.port).items():
        words += ["--env", f"{name}={value}"]
    for name, secret in order.secrets.items():
        words += ["--env", name] if secret is None else ["--secret", f"{secret},type=env,target={name}"]
    return [*words, plan.image]


def front_words(front: FrontState, plan: Plan, folder: Path, home: Path) -> list[str]:
    """The command that starts a front, from the image of the chute.

    Args:
        front: where it listens.
        plan: whose image has the program.
        folder: what it reads, on this machine.
        home: as in `Order`.
    """
    words = ["run", "--detach", "--name", front.name, *labels(plan.slug, home, 0)]
    words += ["--restart", "always", "--network", "host", "--no-healthcheck", "--read-only"]
    words += ["--security-opt", "no-new-privileges", "--cap-drop", "ALL"]
    if front.port < _LOWEST_FREE_PORT:
        words += ["--user", "0:0", "--cap-add", "NET_BIND_SERVICE"]
    words += ["--volume", f"{folder}:{_FRONT}:ro,z", "--workdir", "/", "--entrypoint", "sh", plan.image]
    words += ["-c", _START_FRONT, "front", "--host", front.host, "--port", str(front.port)]
    return [*words, "--control", str(front.control), "--file", f"{_FRONT}/backends.json"]


def labels(slug: str, home: Path, revision: int) -> list[str]:
    """What tells our containers from others."""
    values = {"chutes.slug": slug, "chutes.home": str(home), "chutes.revision": str(revision)}
    return [word for name, value in values.items() for word in ("--label", f"{name}={value}")]


def open_models_words(image: str) -> Sequence[str]:
    """The command that lets every user of a container write to the volume of weights: a new one is root's."""
    words = ["run", "--rm", "--user", "0:0", "--network", "none", "--no-healthcheck"]
    return [*words, "--volume", f"{MODELS}:{_MODELS}", "--entrypoint", "chmod", image, "1777", _MODELS]


def stop_seconds(plan: Plan) -> int:
    """Whole seconds between the signal to stop and the one that ends it."""
    return math.ceil(plan.termination_seconds)


def _network(order: Order, port: int) -> list[str]:
    if order.network == "host":
        return ["--network", "host"]
    return ["--publish", f"127.0.0.1:{port}:{PORT}"]


def _environment(order: Order, port: int) -> dict[str, str]:
    is_host = order.network == "host"
    ours = {
        "CHUTES_HOME": _HOME,
        "CHUTES_HOST": "127.0.0.1" if is_host else "0.0.0.0",  # noqa: S104 - inside of its own network
        "CHUTES_PORT": str(port if is_host else PORT),
        "CHUTES_DRAIN_DELAY": f"{order.plan.drain_delay:g}",
    }
    return {"HF_HOME": _MODELS} | dict(order.plan.environment) | ours


def _limits(plan: Plan, tool: str, gpus: Sequence[int]) -> list[str]:
    words: list[str] = []
    if plan.resources.cpu is not None:
        words += ["--cpus", f"{plan.resources.cpu:g}"]
    if plan.resources.memory_gb is not None:
        words += ["--memory", f"{int(plan.resources.memory_gb * 1e9)}b"]
    if gpus:
        # Processes that share a model over several GPUs exchange its parts through shared memory.
        words += ["--shm-size", "8g"]
        if tool == "docker":
            # The quotes are docker's own: without them a comma would begin another option.
            words += ["--gpus", f'"device={",".join(map(str, gpus))}"']
        else:
            for number in gpus:
                words += ["--device", f"nvidia.com/gpu={number}"]
    return words
