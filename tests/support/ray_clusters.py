"""A real Ray cluster of several nodes on loopback, started as its users start it, and what tests ask of it."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from chutes.build import make_context
from chutes.deploy import make_plan
from chutes.deploy.cluster.own_processes import members
from chutes.deploy.cluster.state import StartedNode, kept, local_cluster
from chutes.deploy.ray import RayPlatform
from chutes.deploy.ray.dashboard import Dashboard
from chutes.loading import load
from chutes.settings import Settings
from support.require import require

SECONDS = 120


@dataclass(frozen=True)
class RayCluster:
    """A running cluster.

    Attributes:
        home: the `CHUTES_HOME` that knows of it.
        dashboard: where deployments are sent.
        url: where chutes answer.
        token: what it asks for.
    """

    home: Path
    dashboard: str
    url: str
    token: str

    @property
    def settings(self):
        return Settings.from_env({"CHUTES_HOME": str(self.home)})

    @property
    def state(self):
        return kept(self.settings)

    def client(self):
        return httpx2.Client(timeout=SECONDS, trust_env=False)

    def deploy(self, file: Path, *, secrets=(), values=None, say=str, timeout=SECONDS, **options):
        """Deploys the chute in a file; returns the platform and the deployment."""
        loaded = load(f"{file}:chute")
        context = make_context(loaded)
        platform = RayPlatform(
            address=self.dashboard,
            token=self.token,
            url=self.url,
            context=context,
            secrets=values or {},
            timeout=timeout,
        )
        plan = make_plan(
            loaded.chute,
            image="",
            digest=context.digest,
            target=f"{file.name}:chute",
            secrets=tuple(secrets),
            **options,
        )
        return platform, platform.apply(plan, note="deploy", say=say)

    def node_names(self) -> dict[str, str]:
        """What the nodes that live are called, by their id."""
        found = Dashboard(self.dashboard, self.token).nodes()
        return {node["node_id"]: node["node_name"] for node in found if node["state"] == "ALIVE"}

    def pids(self, title: str) -> list[int]:
        """The processes of the cluster whose command line has these words."""
        return [pid for pid in members(self.state.mark, self.state.nodes) if title in words(pid)]

    def node(self, name: str) -> StartedNode:
        return next(node for node in self.state.nodes if node.name == name)

    def start_again(self, name: str):
        """Returns what starts the same node anew, once it was killed."""
        place = Path("/proc") / str(self.node(name).pid)
        argv = place.joinpath("cmdline").read_bytes().decode().split("\0")[:-1]
        environ = dict(
            one.partition("=")[::2] for one in place.joinpath("environ").read_text().split("\0") if one
        )

        def start():
            return subprocess.Popen(
                argv, env=environ, cwd=self.state.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

        return start


def words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def ray_python() -> str:
    """The interpreter of the environment that `.ci/ray.sh` has made."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("CHUTES_TEST_RAY") or Path(cache) / "chutes-ci" / "ray")
    python = folder / "bin" / "python"
    require(
        (folder / "recipe").exists() and python.exists(),
        f"No environment {python}. Make it with: bash .ci/ray.sh.",
    )
    return str(python)


def chutes_cluster(home: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs `chutes cluster`."""
    command = [sys.executable, "-m", "chutes", "cluster", *arguments]
    environ = os.environ | {"CHUTES_HOME": str(home)}
    # Ray's own processes hold what they inherit open: files rather than pipes.
    with (home / "output").open("w+") as output, (home / "errors").open("w+") as errors:
        done = subprocess.run(
            command, env=environ, stdout=output, stderr=errors, stdin=subprocess.DEVNULL, timeout=400
        )
        output.seek(0)
        errors.seek(0)
        found = subprocess.CompletedProcess(command, done.returncode, output.read(), errors.read())
    assert not check or found.returncode == 0, found.stderr
    return found


@contextlib.contextmanager
def ray_cluster(folder: Path, *options: str) -> Iterator[RayCluster]:
    """A cluster for one test, or for a session.

    Args:
        folder: for what is kept of it.
        options: further ones of `chutes cluster up`.
    """
    home = folder / "cluster-home"
    home.mkdir()
    chutes_cluster(home, "up", "--python", ray_python(), "--port", "0", "--dashboard-port", "0", *options)
    try:
        address = local_cluster(Settings.from_env({"CHUTES_HOME": str(home)}))
        assert address is not None
        yield RayCluster(home, address.dashboard, address.url, address.token)
    finally:
        chutes_cluster(home, "down")


def status_of(cluster: RayCluster) -> dict:
    return json.loads(chutes_cluster(cluster.home, "status", "--json").stdout)
