"""How plans and deployments are printed."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import typer

from chutes.cli.tables import facts, print_tables, table
from chutes.deploy import Deployment, Plan, Resources, Revision
from chutes.deploy.secret_values import looks_secret

__all__ = ["print_deployment", "print_deployments", "print_plan"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SHORT_DIGEST = 12


def print_plan(plan: Plan) -> None:
    """Print what is to run, without the values of variables that look like secrets."""
    print_tables([facts(_plan_facts(plan))])


def print_deployments(deployments: Sequence[Deployment], *, as_json: bool, where: str) -> None:
    """Print chutes, one a line."""
    if as_json:
        _print_json([_as_json(one) for one in deployments])
    elif deployments:
        columns = ("Chute", "ready", "revision", "deployed", "address")
        print_tables([table(columns, map(_row, deployments))])
    else:
        typer.echo(
            f"No chute runs on {where}. Put one there with: chutes deploy app.py --to {where}", err=True
        )


def print_deployment(deployment: Deployment, *, as_json: bool) -> None:
    """Print everything about one: its plan, its instances, its revisions."""
    if as_json:
        _print_json(_as_json(deployment))
        return
    tables = [facts(_facts(deployment))]
    if deployment.instances:
        columns = ("Instance", "state", "revision", "restarts", "place", "about")
        rows = [
            (one.name, one.state, str(one.revision), str(one.restarts), one.place, one.detail)
            for one in deployment.instances
        ]
        tables.append(table(columns, rows))
    heading = ("Revision", "by", "when", "outcome", "image")
    newest_first = reversed(deployment.revisions)
    tables.append(table(heading, [_revision_row(one, deployment.current) for one in newest_first]))
    print_tables(tables)


def _row(deployment: Deployment) -> Sequence[str]:
    current = deployment.revision(deployment.current)
    return (
        deployment.slug,
        _ready(deployment),
        str(deployment.current),
        _age(current.created_at),
        deployment.url or "",
    )


def _facts(deployment: Deployment) -> Iterator[tuple[str, str]]:
    yield "chute", deployment.slug
    yield "address", deployment.url or "only from inside of the platform"
    yield "ready", _ready(deployment)
    yield "revision", str(deployment.current)
    yield from ((name, text) for name, text in _plan_facts(deployment.plan) if name != "chute")


def _ready(deployment: Deployment) -> str:
    alive = [one for one in deployment.instances if one.state != "draining"]
    if not alive and deployment.plan.instances is None and deployment.plan.min_instances == 0:
        return "0, idle"
    return f"{deployment.ready} of {len(alive)}"


def _revision_row(revision: Revision, current: int) -> Sequence[str]:
    number = f"{revision.number} (current)" if revision.number == current else str(revision.number)
    return (number, revision.note, _age(revision.created_at), revision.outcome, revision.plan.image)


def _plan_facts(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "chute", plan.slug
    yield "version", plan.version
    yield "image", plan.image or "none: its files are sent"
    yield "content", plan.digest[:_SHORT_DIGEST]
    yield "source", plan.source
    yield "runs", plan.target
    yield "instances", _instances(plan)
    yield "calls", f"{plan.concurrency} at once in each instance, {plan.max_queue} more may wait"
    yield "hardware", _hardware(plan.resources)
    yield "environment", ", ".join(_shown(name, value) for name, value in plan.environment.items())
    yield (
        "secrets",
        ", ".join(f"{one.name} (from {one.file or 'the environment'})" for one in plan.secrets),
    )
    yield "jobs", ("yes, some by the clock" if plan.has_schedules else "yes") if plan.has_jobs else ""
    yield "calls out", {True: "to any host", False: "to no other host", None: ""}[plan.egress]
    yield (
        "stopping",
        f"takes calls for {plan.drain_delay:g} s, then gives those in flight {plan.shutdown_grace:g} s",
    )


def _instances(plan: Plan) -> str:
    if plan.instances is not None:
        return f"{plan.instances}, whatever the load"
    span = f"{plan.min_instances} to {plan.max_instances}"
    if plan.min_instances == plan.max_instances:
        return f"{plan.min_instances}"
    idle = (
        f"; none after {plan.shutdown_after_seconds:g} s without a call, where the platform can start it for one"
        if plan.min_instances == 0
        else ""
    )
    more = (
        f", one more above {plan.scaling_threshold:.0%} of the calls at once"
        if plan.max_instances > 1
        else ""
    )
    return f"{span}{more}{idle}"


def _hardware(resources: Resources) -> str:
    parts = []
    if resources.gpu_count:
        plural = "s" if resources.gpu_count > 1 else ""
        parts.append(
            f"{resources.gpu_count} GPU{plural} of {resources.min_vram_gb:g} GB or more: {', '.join(resources.gpus)}"
        )
    parts += [f"{resources.cpu:g} CPU cores"] if resources.cpu else []
    parts += [f"{resources.memory_gb:g} GB of memory"] if resources.memory_gb else []
    return "; ".join(parts) or "any machine"


def _shown(name: str, value: str) -> str:
    return f"{name}=..." if looks_secret(name, value) else f"{name}={value}"


def _age(moment: datetime) -> str:
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    if seconds < _MINUTE:
        return f"{seconds:.0f} s ago"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min ago"
    return f"{seconds / _HOUR:.0f} h ago" if seconds < _DAY else f"{seconds / _DAY:.0f} days ago"


def _as_json(deployment: Deployment) -> dict[str, Any]:
    return {
        "chute": deployment.slug,
        "url": deployment.url,
        "ready": deployment.ready,
        "current": deployment.current,
        "plan": _plan_as_json(deployment.plan),
        "instances": [asdict(one) for one in deployment.instances],
        "revisions": [
            {
                "number": one.number,
                "note": one.note,
                "created_at": one.created_at.isoformat(),
                "outcome": one.outcome,
                "image": one.plan.image,
                "digest": one.plan.digest,
            }
            for one in deployment.revisions
        ],
    }


def _plan_as_json(plan: Plan) -> Any:
    values = json.loads(plan.to_json())
    values["environment"] = {
        name: "..." if looks_secret(name, value) else value for name, value in plan.environment.items()
    }
    return values


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))
