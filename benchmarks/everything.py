"""All tables of requests, one after the other, as docs/benchmarks.md shows them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT

__all__ = ["PLAN", "Part", "all_tables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One table of the page.

    Attributes:
        title: its heading.
        table: its name on the command line.
        rounds: samples of each server, or clients that leave it.
        seconds: length of a sample.
    """

    title: str
    table: str
    rounds: int = 2
    seconds: int = 2


# Some 25 minutes, on a machine that does nothing else.
PLAN = (
    Part(title="Instructions of one request", table="instructions"),
    Part(title="Echo", table="echo"),
    Part(title="Behind 50 other routes", table="routes"),
    Part(title="64 connections, 10 ms each", table="concurrency"),
    Part(title="Batching", table="batching"),
    Part(title="Streaming", table="streaming"),
    Part(title="Start and memory", table="startup", rounds=3),
    Part(title="Overload", table="overload", seconds=8),
    Part(title="The client left", table="disconnect"),
    Part(title="Forwarded calls", table="passthrough"),
)


def all_tables(*, cache: Path, tries: int) -> str:
    """Take all samples; each table is told as soon as it is there, too, so that nothing is lost."""
    texts = []
    for part in PLAN:
        command = [
            sys.executable, "-m", "benchmarks", part.table, "--cache", str(cache), "--tries", str(tries),
            "--rounds", str(part.rounds), "--seconds", str(part.seconds),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        texts.append(f"### {part.title}\n\n{done.stdout.strip() or 'No table: see the errors above.'}\n")
        print(texts[-1], file=sys.stderr, flush=True)
    return "\n".join(texts)
