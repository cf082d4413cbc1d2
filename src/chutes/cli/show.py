"""`chutes show`: what a chute consists of, read from its file."""

import contextlib
import io
import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chutes.cli.arguments import Reference
from chutes.cli.debugging import Debug
from chutes.cli.description import describe
from chutes.cli.reporting import warn
from chutes.cli.schema_words import field_in_words, fields_in_words, type_in_words
from chutes.loading import load

__all__ = ["show"]

_JSON = "application/json"
# Wide enough that no row of a table is ever folded: each is one line for grep.
_PIPE_WIDTH = 100_000
_MOST_FIELDS = 20
_Described = Mapping[str, Any]


def show(
    reference: Reference,
    *,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, with the schemas.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show what a chute consists of, without running it.

    Libraries that this machine lacks are replaced by stand-ins, so that the file loads all the same.
    """
    # What the user's file prints is no part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        loaded = load(reference, stand_ins=True)
        described = describe(loaded, datetime.now(UTC))
    if json_output:
        typer.echo(json.dumps(described, indent=2))
        return
    if loaded.stand_ins:
        warn(f"Not installed here, and replaced by stand-ins: {', '.join(loaded.stand_ins)}.")
    _print(_facts(described), _tables(described))


def _print(facts: Sequence[tuple[str, str]], tables: Iterable[Table]) -> None:
    """On a terminal as it is wide; elsewhere with one line for each row."""
    terminal = sys.stdout.isatty()
    buffer = io.StringIO()
    console = Console() if terminal else Console(file=buffer, width=_PIPE_WIDTH)
    head = Table.grid(padding=(0, 2))
    for name, text in facts:
        head.add_row(Text(name, style="dim"), Text(text))
    console.print(head)
    for table in tables:
        if not terminal:
            console.print()
        console.print(table)
    if not terminal:
        typer.echo("\n".join(line.rstrip() for line in buffer.getvalue().splitlines()))


def _facts(described: _Described) -> list[tuple[str, str]]:
    config = described["config"]
    image = config["image"]
    facts = {
        "chute": described["chute"],
        "tagline": config["tagline"],
        "image": image if isinstance(image, str) else image["name"],
        "hardware": _hardware(config["node_selector"]),
        "concurrency": f"{config['concurrency']} at once, {config['max_queue']} more may wait",
        "template": config["standard_template"],
        "model": _model(described["engine"]),
        "revision": config["revision"],
        "startup": ", ".join(hook["name"] for hook in described["startup"]),
        "shutdown": ", ".join(hook["name"] for hook in described["shutdown"]),
    }
    return [(name, text) for name, text in facts.items() if text]


def _model(engine: _Described | None) -> str:
    if engine is None:
        return ""
    words = " ".join(shlex.quote(word) for word in engine["arguments"])
    parts = [f"engine {engine['engine']}", *([f"with {words}"] if words else [])]
    named = "" if engine["served_name"] == engine["model_name"] else f" as {engine['served_name']}"
    return f"{engine['model_name']}{named}, {', '.join(parts)}"


def _hardware(selector: _Described | None) -> str:
    if selector is None:
        return "any machine"
    parts = [f"{selector['cpu']:g} CPU cores"] if selector["cpu"] else []
    parts += [f"{selector['memory_gb']:g} GB of memory"] if selector["memory_gb"] else []
    if selector["gpu_count"]:
        plural = "s" if selector["gpu_count"] > 1 else ""
        parts.append(f"{selector['gpu_count']} GPU{plural} of {selector['min_vram_gb_per_gpu']:g} GB or more")
        parts += [f"one of {', '.join(selector['include'])}"] if selector["include"] else []
        parts += [f"not {', '.join(selector['exclude'])}"] if selector["exclude"] else []
    return ", ".join(parts) or "any machine"


def _tables(described: _Described) -> Iterable[Table]:
    schemas = described["components"]["schemas"]
    cords = [
        (cord["method"], cord["path"], cord["name"], _input(cord, schemas), _output(cord), _line(cord["doc"]))
        for cord in described["cords"]
    ]
    sockets = [(one["path"], one["name"], _line(one["doc"])) for one in described["websockets"]]
    jobs = [
        (job["name"], job["schedule"] or "", job["next_run"] or "", _tries(job), _line(job["doc"]))
        for job in described["jobs"]
    ]
    if cords:
        yield _table(("Cord", "path", "function", "takes", "gives", "about"), cords)
    if sockets:
        yield _table(("Websocket", "function", "about"), sockets)
    if jobs:
        yield _table(("Job", "schedule", "next run", "tries", "about"), jobs)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _input(cord: _Described, schemas: Mapping[str, Any]) -> str:
    parameters = [
        field_in_words(one["name"], one.get("schema", {}), required=one.get("required", False))
        for one in cord["parameters"]
    ]
    if cord["input"] is not None:
        schema, left_out = _shortened(cord["input"]["schema"])
        parameters.append(fields_in_words(schema, schemas))
        parameters += [f"and {left_out} more"] if left_out else []
    return ", ".join(parameters)


def _shortened(schema: _Described) -> tuple[_Described, int]:
    """Of many fields those that must be given, and how many others there are."""
    fields, required = schema.get("properties", {}), schema.get("required", ())
    if len(fields) <= _MOST_FIELDS:
        return schema, 0
    kept = {name: fields[name] for name in required if name in fields}
    return {**schema, "properties": kept}, len(fields) - len(kept)


def _output(cord: _Described) -> str:
    output = cord["output"]
    if output is None:
        return ""
    if output["content_type"] == _JSON:
        return type_in_words(output["schema"])
    return f"{'stream of ' if cord['stream'] else ''}{output['content_type']}"


def _tries(job: _Described) -> str:
    limit = f", {job['timeout']:g} s each" if job["timeout"] else ""
    return f"{job['retry_count'] + 1}{limit}"


def _line(doc: str) -> str:
    return doc.partition("\n")[0]
