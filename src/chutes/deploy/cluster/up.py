"""Start a cluster on this machine, node by node, and wait until chutes can be deployed on it."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from chutes.deploy.cluster.launch import LOOPBACK, Launch, serve_options
from chutes.deploy.cluster.nodes import NodeSpec
from chutes.deploy.cluster.own_processes import end, is_running, started_at
from chutes.deploy.cluster.ray_python import RayPython
from chutes.deploy.cluster.state import (
    ClusterState,
    StartedNode,
    cluster_folder,
    forget,
    keep,
    kept,
    write_privately,
)
from chutes.deploy.platforms import Say
from chutes.deploy.ray.dashboard import Dashboard
from chutes.errors import DeployError
from chutes.settings import Settings

__all__ = ["UpOptions", "start_cluster"]

_POLL_SECONDS = 0.2
_STOP_SECONDS = 10.0
_TAIL = 15
_SHORT_FOLDERS = "/tmp"  # noqa: S108 - the names of sockets may have 107 characters; mkdtemp makes a folder of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What the cluster is to be.

    Attributes:
        nodes: the head first.
        port: where its chutes answer; 0: any free one.
        dashboard_port: where deployments are sent; 0: any free one.
        ha_proxy: put HAProxy in front of the replicas, where Ray has it; the network reaches them then.
        timeout: seconds in which each step has to be done.
    """

    nodes: Sequence[NodeSpec]
    port: int = 8000
    dashboard_port: int = 8265
    ha_proxy: bool = False
    timeout: float = 180


def start_cluster(settings: Settings, python: RayPython, options: UpOptions, say: Say) -> ClusterState:
    """Start it, and return when Serve answers. What was started is ended again when that fails.

    Raises:
        DeployError: one runs already, a port is taken, or a node does not start.
    """
    _refuse_second(settings)
    folder = Path(
        tempfile.mkdtemp(prefix="chutes-", dir=_SHORT_FOLDERS if Path(_SHORT_FOLDERS).is_dir() else None)
    )
    starting = _Starting(settings, python, options, folder, say)
    try:
        return starting.run()
    except BaseException:
        starting.undo()
        raise


class _Starting:
    """A cluster on its way up."""

    def __init__(
        self, settings: Settings, python: RayPython, options: UpOptions, folder: Path, say: Say
    ) -> None:
        self._settings = settings
        self._options = options
        self._folder = folder
        self._say = say
        self._token = secrets.token_hex(32)
        token_file = cluster_folder(settings) / "token"
        write_privately(token_file, self._token)
        has_ha_proxy = options.ha_proxy and python.has_ha_proxy
        port = _checked_port(LOOPBACK, options.port, "--port")
        dashboard_port = _checked_port("127.0.0.1", options.dashboard_port, "--dashboard-port")
        head_port, *proxy_ports = _free_ports(4)
        self._launch = Launch(
            python=python.path,
            mark=secrets.token_hex(16),
            folder=folder,
            token_file=token_file,
            head_port=head_port,
            dashboard_port=dashboard_port,
            proxy_ports=tuple(proxy_ports) if has_ha_proxy else (),
        )
        self._port = port
        self.state = ClusterState(
            mark=self._launch.mark,
            python=python.path,
            ray_version=python.ray_version,
            head=self._launch.head,
            dashboard=f"http://127.0.0.1:{dashboard_port}",
            url=f"http://{LOOPBACK}:{port}",
            folder=str(folder),
            ha_proxy=has_ha_proxy,
        )

    def run(self) -> ClusterState:
        dashboard = Dashboard(self.state.dashboard, self._token)
        head, *others = self._options.nodes
        self._start(head, is_head=True)
        self._wait(lambda: self._count(dashboard), "The head of the cluster")
        for node in others:
            # One at a time: nodes of one address that start at once take each other's ports.
            self._start(node, is_head=False)
            self._wait(lambda: self._count(dashboard), f"The node '{node.name}'")
        self._say("Starting Ray Serve.")
        dashboard.put_serve(json.loads(serve_options(self._port, ha_proxy=self.state.ha_proxy)))
        self._wait(self._check_proxy, "The proxy of Ray Serve")
        return self.state

    def undo(self) -> None:
        """End what was started, and forget it."""
        end(self.state.mark, self.state.nodes, grace=_STOP_SECONDS)
        forget(self._settings)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, node: NodeSpec, *, is_head: bool) -> None:
        self._say(f"Starting {node.name}: {_described(node)}.")
        argv = self._launch.argv(node, is_head=is_head, agent_port=_free_ports(1)[0])
        with self._log(node.name).open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - words of ours; it goes on when this process has ended
                argv,
                env=self._launch.environment(node),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started = StartedNode(
            name=node.name,
            pid=process.pid,
            started_at=started_at(process.pid),
            gpu=node.gpu,
            gpu_count=node.gpu_count,
            cpu=node.cpu,
            labels=node.all_labels,
        )
        # Nobody waits for it: whoever comes next finds it by its number and its start.
        process.returncode = 0
        self.state = replace(self.state, nodes=(*self.state.nodes, started))
        keep(self._settings, self.state)

    def _wait(self, step: Callable[[], object], what: str) -> None:
        """Try until the step raises no error."""
        deadline = time.monotonic() + self._options.timeout
        while True:
            self._check_alive()
            try:
                step()
            except (DeployError, httpx2.HTTPError) as exc:
                if time.monotonic() > deadline:
                    raise DeployError(
                        f"{what} was not ready within {self._options.timeout:g} s: {exc}{self._last_lines(-1)}"
                    ) from exc
            else:
                return
            time.sleep(_POLL_SECONDS)

    def _count(self, dashboard: Dashboard) -> None:
        alive = [node for node in dashboard.nodes() if node.get("state") == "ALIVE"]
        if len(alive) < len(self.state.nodes):
            raise DeployError(f"{len(alive)} of {len(self.state.nodes)} nodes have joined.")

    def _check_proxy(self) -> None:
        # Without an application it refuses everything: any answer will do.
        httpx2.get(f"{self.state.url}/-/healthz", timeout=5)

    def _check_alive(self) -> None:
        for number, node in enumerate(self.state.nodes):
            if not is_running(node):
                raise DeployError(f"The node '{node.name}' ended while it started.{self._last_lines(number)}")

    def _last_lines(self, number: int) -> str:
        name = self.state.nodes[number].name
        lines = self._log(name).read_text(errors="replace").splitlines()[-_TAIL:]
        return "".join(f"\n  {line}" for line in lines)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _refuse_second(settings: Settings) -> None:
    before = kept(settings)
    if before is None:
        return
    if any(is_running(node) for node in before.nodes):
        raise DeployError(
            f"A cluster runs here already: chutes answer at {before.url}. See `chutes cluster status`, or end it with "
            "`chutes cluster down`."
        )
    # The machine was started anew, or somebody has killed it.
    end(before.mark, before.nodes, grace=0)
    shutil.rmtree(before.folder, ignore_errors=True)
    forget(settings)


def _described(node: NodeSpec) -> str:
    kind = node.gpu or "unknown kind"
    gpus = f", {node.gpu_count} GPU{'s' * (node.gpu_count > 1)} ({kind})" if node.gpu_count else ""
    pretended = ", pretended" if node.gpu_count and not node.devices else ""
    return f"{node.cpu:g} CPUs{gpus}{pretended}"


def _checked_port(host: str, port: int, option: str) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise DeployError(
                f"Port {port} of {host} cannot be had: {os.strerror(exc.errno or 0)}. Choose another with {option}, 0 for any."
            ) from exc
        return int(probe.getsockname()[1])


def _free_ports(count: int) -> list[int]:
    """Different ports that nobody has now, on any address."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
