"""Instructions per request, counted by valgrind: the one figure that a busy machine cannot change, so it is a gate.

chutes with everything on is compared with FastAPI, and with plain ASGI that does the same pydantic work by hand.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.forms import FORMS
from benchmarks.tables import table

__all__ = ["FLOORS", "Count", "failures", "instructions_of", "per_request", "render"]

ROOT = Path(__file__).parent.parent
# What must hold, of the instructions of each: one cord with one model.
GATED = "model"
FLOORS = {"FastAPI": 0.30, "raw ASGI": 3.2}
# Nothing else of the caller's environment may count.
_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")

Figures = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """All instructions of one process, which answered `count` requests.

    Attributes:
        form: name of the form of cord.
        app: the framework.
        count: requests.
        instructions: of the whole process, start-up included.
    """

    form: str
    app: str
    count: int
    instructions: int


def count(forms: Iterable[str]) -> list[Count]:
    """Run the counted program under valgrind.

    Raises:
        RuntimeError: valgrind is missing, or the program failed.
    """
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is missing. On Debian and Ubuntu: apt-get install valgrind.")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "-q", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p",
            sys.executable, "-m", "benchmarks.counted", *forms,
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return [
            Count(instructions=instructions_of((Path(folder) / str(one.pop("pid"))).read_text()), **one)
            for one in told
        ]


def instructions_of(report: str) -> int:
    """The total of a report of cachegrind."""
    for line in report.splitlines():
        if line.startswith("summary:"):
            return int(line.split()[1])
    raise ValueError("The report of cachegrind has no summary.")


def per_request(counts: Iterable[Count]) -> dict[str, dict[str, float]]:
    """Instructions of one request (of one chunk, where answers have many), by form and framework."""
    found: dict[tuple[str, str], list[Count]] = {}
    for one in counts:
        found.setdefault((one.form, one.app), []).append(one)
    figures: dict[str, dict[str, float]] = {}
    for (form, app), pair in found.items():
        few, many = sorted(pair, key=lambda one: one.count)
        parts = (many.count - few.count) * FORMS[form].chunks
        figures.setdefault(form, {})[app] = (many.instructions - few.instructions) / parts
    return figures


def ratios(figures: Mapping[str, float]) -> dict[str, float]:
    """Instructions of chutes as a share of each other's."""
    return {app: figures["chutes"] / figures[app] for app in FLOORS}


def failures(figures: Figures) -> list[str]:
    """What the gate says against the figures; nothing when they pass."""
    return [
        f"A request to a cord with one model takes {figures[GATED]['chutes']:,.0f} instructions, "
        f"{ratio:.3f} times those of {app} ({figures[GATED][app]:,.0f}); the limit is {FLOORS[app]:.2f}."
        for app, ratio in ratios(figures[GATED]).items()
        if ratio > FLOORS[app]
    ]


def render(figures: Figures) -> str:
    """The table of the figures."""
    rows = []
    for form, row in figures.items():
        of = ratios(row)
        counts = [f"{row[app]:,.0f}" for app in ("raw ASGI", "FastAPI", "chutes")]
        rows.append([FORMS[form].title, *counts, f"{of['FastAPI']:.3f}", f"{of['raw ASGI']:.2f}"])
    return table(["cord", "raw ASGI", "FastAPI", "chutes", "of FastAPI", "of raw ASGI"], rows)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("forms", nargs="*", metavar="FORM", help=", ".join(FORMS))
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--gate", action="store_true", help="fail when a cord with one model takes too many")
    options = parser.parse_args()
    if unknown := set(options.forms) - set(FORMS):
        parser.error(f"There is no form {', '.join(unknown)}. There are: {', '.join(FORMS)}.")
    if options.gate and options.forms and GATED not in options.forms:
        parser.error(f"The gate needs the form {GATED}.")
    figures = per_request(count(options.forms))
    print(json.dumps(figures, indent=2) if options.json else render(figures))
    found = failures(figures) if options.gate else []
    for failure in found:
        print(failure, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
