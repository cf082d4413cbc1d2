"""Who takes part: how each server is started, and where it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["SERVERS", "STRESSED_PEERS", "Server", "Workload"]

STRESSED_PEERS = ("Robyn", "mosec", "LitServe", "BentoML", "Ray Serve")
"""Those that take part in the tables of overload and of clients that leave, beside those on uvicorn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What clients ask of a server.

    Attributes:
        name: what servers and tables call it.
        target: path and query.
        body: of a POST; None makes it a GET.
        connections: clients at once, each of which waits for its answer.
        parts: of one answer; figures are told for each part.
    """

    name: str
    target: str
    body: str | None = None
    connections: int = 32
    parts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One framework on one server.

    Attributes:
        name: what the tables call it.
        environment: the file in peers/ with its versions.
        package: whose version the tables show.
        command: arguments of its Python; `{port}` and `{workload}` are filled in.
        targets: where it answers a workload, if elsewhere than others.
        bodies: what it reads, if something else than others.
        variables: of its environment, filled in likewise.
    """

    name: str
    environment: str
    package: str
    command: tuple[str, ...]
    targets: Mapping[str, str] = field(default_factory=dict)
    bodies: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def target(self, workload: Workload) -> str:
        return self.targets.get(workload.name, workload.target)

    def body(self, workload: Workload) -> str | None:
        return self.bodies.get(workload.name, workload.body)


def _uvicorn(name: str, module: str, *, environment: str = "chutes", package: str) -> Server:
    options = (
        "--port",
        "{port}",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--log-level",
        "warning",
    )
    return Server(
        name=name,
        environment=environment,
        package=package,
        command=("-m", "uvicorn", f"benchmarks.servers.{module}:app", *options),
    )


def _chutes(name: str, module: str) -> Server:
    command = (
        "-m",
        "chutes",
        "run",
        f"benchmarks.servers.{module}",
        "--port",
        "{port}",
        "--log-level",
        "warning",
    )
    return Server(name=name, environment="chutes", package="fastapi", command=command)


# Where LitServe answers everything, whatever the workload.
_PREDICT = dict.fromkeys(("model", "sleep", "batch", "stream", "work", "call"), "/predict")
_INFERENCE = dict.fromkeys(("model", "batch", "stream", "work", "call"), "/inference")

_ROOT = dict.fromkeys(("model", "sleep", "batch", "stream", "work", "call"), "/")

_PROMPT = '{"prompt":"hello world","max_tokens":5,"temperature":0.5}'

_BENTO = "benchmarks.servers.on_bentoml:Benchmark"
_STRESSED_BENTO = "benchmarks.servers.stress_on_bentoml:Stressed"

SERVERS = {
    server.name: server
    for server in (
        _uvicorn("raw ASGI", "raw_asgi", package="uvicorn"),
        _chutes("chutes", "on_chutes"),
        _uvicorn("FastAPI", "on_fastapi", package="fastapi"),
        _chutes("chutes, 50 routes", "routes_on_chutes"),
        _uvicorn("FastAPI, 50 routes", "routes_on_fastapi", package="fastapi"),
        replace(_uvicorn("FastAPI, by hand", "on_fastapi", package="fastapi"), targets={"stream": "/stream_by_hand"}),
        _uvicorn("raw proxy", "raw_proxy", package="uvicorn"),
        _uvicorn("raw proxy, httpx2", "httpx_proxy", package="uvicorn"),
        _chutes("chutes, passthrough", "passthrough_on_chutes"),
        _chutes("chutes, one batch", "batch_on_chutes"),
        _chutes("chutes, stressed", "stress_on_chutes"),
        _uvicorn("FastAPI, stressed", "stress_on_fastapi", package="fastapi"),
        _uvicorn("Litestar, stressed", "stress_on_litestar", environment="litestar", package="litestar"),
        _uvicorn("Litestar", "on_litestar", environment="litestar", package="litestar"),
        Server(
            name="Robyn",
            environment="robyn",
            package="robyn",
            command=("-m", "benchmarks.servers.on_robyn", "{port}", "--log-level", "WARN"),
        ),
        Server(
            name="mosec",
            environment="mosec",
            package="mosec",
            command=("-m", "benchmarks.servers.on_mosec", "--address", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
            targets=_INFERENCE,
            bodies={"stream": "{}"},
            variables={"WORKLOAD": "{workload}"},
        ),
        Server(
            name="LitServe",
            environment="litserve",
            package="litserve",
            command=("-m", "benchmarks.servers.on_litserve", "{workload}", "{port}"),
            targets=_PREDICT,
            bodies={"stream": "{}"},
        ),
        Server(
            name="BentoML",
            environment="bentoml",
            package="bentoml",
            command=("-m", "bentoml", "serve", _BENTO, "--host", "127.0.0.1", "--port", "{port}"),
            bodies={"model": '{"data":' + _PROMPT + "}", "sleep": "{}", "batch": '{"x":[1.5]}', "stream": "{}"},
            variables={"BENTOML_DO_NOT_TRACK": "1"},
        ),
        Server(
            name="Ray Serve",
            environment="ray",
            package="ray",
            command=("-m", "benchmarks.servers.on_ray", "{workload}", "{port}"),
            targets=_ROOT,
            variables={"RAY_USAGE_STATS_ENABLED": "0"},
        ),
        Server(
            name="Robyn, stressed",
            environment="robyn",
            package="robyn",
            command=("-m", "benchmarks.servers.stress_on_robyn", "{port}", "--log-level", "WARN"),
        ),
        Server(
            name="mosec, stressed",
            environment="mosec",
            package="mosec",
            command=(
                "-m", "benchmarks.servers.stress_on_mosec", "--address", "127.0.0.1", "--port", "{port}",
                "--log-level", "warning", "--capacity", "480", "--timeout", "60000",
            ),
            targets=_INFERENCE,
            bodies={"stream": "{}"},
            variables={"WORKLOAD": "{workload}"},
        ),
        Server(
            name="LitServe, stressed",
            environment="litserve",
            package="litserve",
            command=("-m", "benchmarks.servers.stress_on_litserve", "{workload}", "{port}"),
            targets=_PREDICT,
            bodies={"stream": "{}"},
        ),
        Server(
            name="BentoML, stressed",
            environment="bentoml",
            package="bentoml",
            command=("-m", "bentoml", "serve", _STRESSED_BENTO, "--host", "127.0.0.1", "--port", "{port}"),
            bodies={"stream": "{}"},
            variables={"BENTOML_DO_NOT_TRACK": "1"},
        ),
        Server(
            name="Ray Serve, stressed",
            environment="ray",
            package="ray",
            command=("-m", "benchmarks.servers.stress_on_ray", "{workload}", "{port}"),
            targets=_ROOT,
            variables={"RAY_USAGE_STATS_ENABLED": "0"},
        ),
    )
}  # fmt: skip
