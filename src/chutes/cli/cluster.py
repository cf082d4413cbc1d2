"""`chutes cluster`: a Ray cluster on this machine, for trying what a real one does."""

import json
from typing import Annotated, Any

import typer

from chutes.cli.reporting import warn
from chutes.deploy.cluster.down import stop_cluster
from chutes.deploy.cluster.nodes import machine_nodes, parse_node, recognised
from chutes.deploy.cluster.ray_python import find_ray
from chutes.deploy.cluster.report import ClusterReport, cluster_report
from chutes.deploy.cluster.up import UpOptions, start_cluster
from chutes.engines.hardware import MachineProbe
from chutes.settings import Settings

__all__ = ["cluster"]

_PORT = 8000
_DASHBOARD_PORT = 8265
_NOT_RUNNING = 1

cluster = typer.Typer(
    help="Run a Ray cluster on this machine, for trying.", no_args_is_help=True, add_completion=False
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@cluster.callback()
def _cluster() -> None:
    """Run a Ray cluster on this machine, for trying what a real one does."""


@cluster.command("up")
def up(
    *,
    nodes: Annotated[int, typer.Option(min=1, max=16, help="Nodes, those of --node left aside.")] = 1,
    node: Annotated[
        list[str] | None,
        typer.Option(
            help="One more node that pretends, such as gpu=h100,count=2. Words: gpu, count, cpu, memory (GB), "
            "label=KEY:VALUE.",
            show_default=False,
        ),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(help="The interpreter that has Ray.", show_default="CHUTES_RAY_PYTHON, else this one"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where chutes answer; 0 for any.")] = _PORT,
    dashboard_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where deployments are sent; 0 for any.")
    ] = _DASHBOARD_PORT,
    proxy: Annotated[
        bool,
        typer.Option(
            "--ha-proxy",
            help="HAProxy before the chutes, which is faster, and which the network reaches too.",
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for each step.")] = 180.0,
) -> None:
    """Start a cluster that only this machine reaches, and that asks for a token.

    The GPUs of the machine become nodes with their labels. Every program of the cluster is a process of yours; they go on
    until `chutes cluster down`.
    """
    settings = Settings.from_env()
    found = find_ray(python or settings.ray_python)
    hardware = MachineProbe().look()
    for unknown in {gpu.name for gpu in hardware.gpus if recognised(gpu.name) is None}:
        warn(f"The catalogue has no GPU {unknown!r}: no node selector will find it.")
    if proxy and not found.has_ha_proxy:
        warn("This Ray came without HAProxy: its own proxy is used, which is slower.")
    elif proxy:
        warn(
            "With HAProxy the chutes listen on every address of this machine: give them API keys, or have a firewall."
        )
    pretended = [parse_node(text, hardware.cores) for text in node or []]
    options = UpOptions(
        nodes=machine_nodes(hardware, nodes, pretended),
        port=port,
        dashboard_port=dashboard_port,
        ha_proxy=proxy,
        timeout=timeout,
    )
    state = start_cluster(settings, found, options, _say)
    _say(
        "The cluster is ready. Deploy with `chutes deploy app.py --to ray`; end it with `chutes cluster down`."
    )
    typer.echo(f"Chutes:     {state.url}")
    typer.echo(f"Dashboard:  {state.dashboard}")


@cluster.command("status")
def status(*, json_output: _Json = False) -> None:
    """Show the nodes of the cluster, where it answers, and what runs on it. The exit code is 1 when there is none."""
    report = cluster_report(Settings.from_env())
    if report is None:
        typer.echo("{}" if json_output else "No cluster runs here. Start one with `chutes cluster up`.")
        raise typer.Exit(_NOT_RUNNING)
    if json_output:
        typer.echo(json.dumps(_as_json(report), indent=2))
    else:
        _print(report)
    if not report.is_running:
        raise typer.Exit(_NOT_RUNNING)


@cluster.command("down")
def down(
    *,
    now: Annotated[bool, typer.Option("--now", help="Leave the chutes no time to end what they do.")] = False,
) -> None:
    """End the cluster: its chutes, then its own processes. Other Ray programs of this machine go on."""
    if stop_cluster(Settings.from_env(), now=now, say=_say):
        typer.echo("The cluster is gone.")
    else:
        typer.echo("No cluster runs here.")


def _print(report: ClusterReport) -> None:
    state = report.state
    typer.echo(f"Chutes:     {state.url}")
    typer.echo(f"Dashboard:  {state.dashboard}")
    typer.echo(f"Token:      {report.token_file}")
    typer.echo(f"Logs:       {report.logs}")
    typer.echo(
        f"Ray:        {state.ray_version}, {'HAProxy' if state.ha_proxy else 'its own proxy'} ({state.python})"
    )
    width = max(len(node.name) for node in state.nodes)
    for node, running in zip(state.nodes, report.running, strict=True):
        gpus = f", {node.gpu_count} GPUs" if node.gpu_count else ""
        labels = "".join(f", {key}={value}" for key, value in node.labels.items())
        typer.echo(f"{node.name:<{width}}  {'up' if running else 'gone':<4}  {node.cpu:g} CPUs{gpus}{labels}")
    if report.problem:
        warn(report.problem)
    elif not report.applications:
        typer.echo("No chute runs on it.")
    for name, application in report.applications.items():
        typer.echo(f"{name}  {application.lower()}")


def _as_json(report: ClusterReport) -> dict[str, Any]:
    state = report.state
    return {
        "url": state.url,
        "dashboard": state.dashboard,
        "token_file": str(report.token_file),
        "logs": str(report.logs),
        "ray_version": state.ray_version,
        "python": state.python,
        "ha_proxy": state.ha_proxy,
        "nodes": [
            {
                "name": node.name,
                "running": running,
                "cpu": node.cpu,
                "gpu": node.gpu or None,
                "gpu_count": node.gpu_count,
                "labels": dict(node.labels),
                "pid": node.pid,
            }
            for node, running in zip(state.nodes, report.running, strict=True)
        ],
        "applications": dict(report.applications),
        "problem": report.problem or None,
    }


def _say(text: str) -> None:
    typer.echo(text, err=True)
