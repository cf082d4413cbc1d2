"""python -m benchmarks TABLE: run one table and print it."""

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.comparisons import COMPARISONS, Comparison, compared, take
from benchmarks.environments import interpreter, version_of
from benchmarks.lineup import SERVERS
from benchmarks.machine import describe
from benchmarks.samples import Sample, interleaved, least_disturbed

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "chutes-benchmarks"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        text, samples = _comparison(COMPARISONS[options.table], options, Path(folder))
    print(text)
    if options.json:
        options.json.write_text(json.dumps([asdict(sample) for sample in samples], indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("table", choices=COMPARISONS)
    parser.add_argument("--rounds", type=int, default=3, help="samples of each server (default: 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a sample (default: 2)")
    parser.add_argument(
        "--tries", type=int, default=3, help="tries for a sample while the machine is busy (default: 3)"
    )
    parser.add_argument("--servers", default="", help="only these, with commas between")
    parser.add_argument("--json", type=Path, help="write all samples into this file")
    parser.add_argument(
        "--cache", type=Path, default=_CACHE, help=f"for the environments (default: {_CACHE})"
    )
    return parser.parse_args()


def _comparison(
    comparison: Comparison, options: argparse.Namespace, folder: Path
) -> tuple[str, list[Sample]]:
    only = [name for name in options.servers.split(",") if name]
    entries = comparison.entries(only)
    pythons = {
        name: interpreter(name, options.cache)
        for name in {SERVERS[entry.server].environment for entry in entries}
    }
    samples: list[Sample] = []
    for entry in interleaved(entries, options.rounds):
        python = pythons[SERVERS[entry.server].environment]

        def once(entry=entry, python=python) -> Sample:
            return take(entry, python, seconds=options.seconds, folder=folder)

        try:
            samples.append(least_disturbed(once, options.tries))
        except (RuntimeError, ValueError) as error:
            print(f"No sample of {entry.server}, {entry.workload.name}: {error}", file=sys.stderr)
            continue
        print(f"{samples[-1]}", file=sys.stderr)
    return (
        f"{_preface(comparison.title, sorted({e.server for e in entries}))}\n\n{compared(comparison, samples)}",
        samples,
    )


def _preface(title: str, servers: list[str]) -> str:
    versions = ", ".join(
        f"{SERVERS[name].package} {version_of(SERVERS[name].environment, SERVERS[name].package)}"
        for name in servers
    )
    return f"{title}\n\n{dt.date.today()}, {describe()}, wrk; {versions}"


if __name__ == "__main__":
    main()
