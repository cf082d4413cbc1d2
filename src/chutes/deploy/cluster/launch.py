"""The command line and the environment of each node."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chutes.deploy.cluster.nodes import NodeSpec
from chutes.deploy.cluster.own_processes import MARK

__all__ = ["LOOPBACK", "Launch"]

LOOPBACK = "127.0.0.1" if sys.platform == "darwin" else "127.0.0.2"
"""The address of all nodes. Ray takes 127.0.0.1 for a mistake, and listens to the network in its place."""

# For what chutes do not use: Ray would set a third of the memory aside.
_OBJECT_STORE = 100_000_000
# After its last call a replica waits until every proxy has heard that it goes; 30 s by default.
_DRAINING_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What all nodes of a cluster have in common.

    Attributes:
        python: the interpreter that has Ray.
        mark: see `ClusterState`.
        folder: for Ray's files; its path is short, since sockets lie in it.
        token_file: the file with the token.
        head_port: at which nodes join.
        dashboard_port: on 127.0.0.1.
        proxy_ports: two for what HAProxy tells of itself, and one for the proxy behind it; empty: Ray's own proxy stands in
            front of the replicas.
    """

    python: str
    mark: str
    folder: Path
    token_file: Path
    head_port: int
    dashboard_port: int
    proxy_ports: tuple[int, ...] = ()

    @property
    def head(self) -> str:
        """Where nodes join."""
        return f"{LOOPBACK}:{self.head_port}"

    def argv(self, node: NodeSpec, *, is_head: bool, agent_port: int) -> list[str]:
        """The command that starts a node, and ends when the node does."""
        place = (
            [
                "--head",
                f"--port={self.head_port}",
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={self.dashboard_port}",
                f"--temp-dir={self.folder / 'ray'}",
            ]
            if is_head
            else [f"--address={self.head}"]
        )
        return [
            self.python,
            "-m",
            "ray.scripts.scripts",
            "start",
            *place,
            "--block",
            f"--node-ip-address={LOOPBACK}",
            f"--node-name={node.name}",
            f"--num-cpus={round(node.cpu)}",
            f"--num-gpus={node.gpu_count}",
            *([] if node.memory is None else [f"--memory={node.memory}"]),
            *([f"--labels={_pairs(node.all_labels)}"] if node.all_labels else []),
            f"--object-store-memory={_OBJECT_STORE}",
            f"--dashboard-agent-listen-port={agent_port}",
            # Any free ports, so that two clusters on one machine keep out of each other's way.
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--include-log-monitor=false",
            "--disable-usage-stats",
        ]

    def environment(self, node: NodeSpec) -> dict[str, str]:
        """The variables of a node and of all that runs on it.

        Those of the shell's `CHUTES_*` stay behind: a chute gets what its deployment says, and no more.
        """
        inherited = os.environ  # noqa: TID251 - handed on to the node, no setting is read
        found = {
            name: value
            for name, value in inherited.items()
            if not name.startswith(("CHUTES_", "RAY_ADDRESS"))
        }
        found |= {
            MARK: self.mark,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_worker_prestart": "0",
            # A process that renames itself overwrites its environment otherwise, and with it the mark.
            "SPT_NOENV": "1",
            "PATH": os.pathsep.join([str(Path(self.python).parent), inherited.get("PATH") or os.defpath]),
            **self._ha_proxy(),
        }
        if node.devices:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, node.devices))
        return found

    def _ha_proxy(self) -> dict[str, str]:
        if not self.proxy_ports:
            return {"RAY_SERVE_ENABLE_HA_PROXY": "0"}
        statistics, metrics, fallback = self.proxy_ports
        # Ray puts a name of 56 characters between this and the name of a socket.
        place = self.folder
        return {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(_DRAINING_SECONDS),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(place / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(place / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(place / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(place),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(place / "server-state"),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_NBTHREAD": "2",
        }


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def serve_options(port: int, *, ha_proxy: bool) -> str:
    """The document that starts Serve without an application: one proxy, on loopback.

    HAProxy reaches replicas by the address of their node, and what it falls back on by 127.0.0.1, while Serve has one setting for
    where all of them listen: with it they listen everywhere.
    """
    options = {"host": "0.0.0.0" if ha_proxy else LOOPBACK, "port": port}  # noqa: S104 - the caller has warned
    return json.dumps({"proxy_location": "HeadOnly", "http_options": options, "applications": []})
