"""python -m benchmarks TABLE: take the samples of one table, and print it."""

import argparse
import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import disconnect, instructions, llm, llm_first, overload, startup
from benchmarks.comparisons import COMPARISONS, Comparison, Entry, compared, take
from benchmarks.environments import interpreter, version_of
from benchmarks.everything import all_tables
from benchmarks.forms import FORMS
from benchmarks.jobs import jobs
from benchmarks.lineup import SERVERS, Server
from benchmarks.machine import describe
from benchmarks.samples import Sample, interleaved, least_disturbed

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "chutes-benchmarks"
_STARTED = ("raw ASGI", "chutes", "FastAPI", "Litestar", "Robyn", "mosec", "LitServe", "BentoML", "Ray Serve")


class Run:
    """One table, as the command line asks for it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.only: list[str] = options.server
        self.samples: list[Any] = []

    def table(self) -> str:
        """Take the samples, and write the table."""
        name = self.options.table
        if name == "all":
            return all_tables(cache=self.options.cache, tries=self.options.tries)
        if name in COMPARISONS:
            return self._comparison(COMPARISONS[name])
        return {
            "startup": self._startup,
            "overload": self._overload,
            "disconnect": self._disconnect,
            "instructions": self._instructions,
            "jobs": self._jobs,
            "llm": self._llm,
            "deploy": self._deploy,
            "ray": self._ray,
            "llm-first": self._llm_first,
        }[name]()

    def _comparison(self, comparison: Comparison) -> str:
        asked = self.options.workload
        entries = [one for one in comparison.entries(self.only) if not asked or one.workload.name in asked]
        pythons = self._pythons(entry.server for entry in entries)
        for entry in interleaved(entries, self.options.rounds):
            self._note(
                lambda entry=entry: least_disturbed(lambda: self._sample(entry, pythons), self.options.tries)
            )
        return f"{_preface(comparison.title, entries)}\n\n{compared(comparison, self.samples)}"

    def _sample(self, entry: Entry, pythons: dict[str, Path]) -> Sample:
        return take(entry, pythons[entry.server], seconds=self.options.seconds, folder=self.folder)

    def _startup(self) -> str:
        names = self._chosen(_STARTED)
        pythons = self._pythons(names)
        for name in interleaved(names, self.options.rounds):
            self._note(lambda name=name: startup.started(name, pythons[name], self.folder))
        times: dict[str, list[float]] = {}
        for module, environment in interleaved(list(startup.IMPORTS.items()), 2 * self.options.rounds):
            python = interpreter(environment, self.options.cache)
            times.setdefault(module, []).append(startup.imported(module, python, self.folder))
        return f"{startup.starts(self.samples)}\n\n{startup.imports(times)}"

    def _overload(self) -> str:
        cases = [case for case in overload.CASES if not self.only or case[0] in self.only]
        pythons = self._pythons(name for name, _ in cases)
        for name, queue in cases:
            self._note(
                lambda name=name, queue=queue: overload.overloaded(
                    name, queue, pythons[name], seconds=self.options.seconds, folder=self.folder
                )
            )
        return overload.overloads(self.samples)

    def _disconnect(self) -> str:
        names = self._chosen(disconnect.CASES)
        pythons = self._pythons(names)
        for name in names:
            found = disconnect.departed(name, pythons[name], clients=self.options.rounds, folder=self.folder)
            self.samples.extend(found)
        return disconnect.departures(self.samples)

    def _instructions(self) -> str:
        figures = instructions.per_request(instructions.count(FORMS))
        self.samples.extend(figures.items())
        return instructions.render(figures)

    def _jobs(self) -> str:
        options = self.options
        tables, self.samples = jobs(
            self.only,
            options.workload,
            rounds=options.rounds,
            seconds=options.seconds,
            cache=options.cache,
            folder=self.folder,
        )
        return tables

    def _llm(self) -> str:
        options = self.options
        chosen = {name: server for name, server in llm.SERVERS.items() if not self.only or name in self.only}
        clients = [int(count) for count in options.workload] or llm.CLIENTS
        for name, server in chosen.items():
            python = interpreter(server.environment, options.cache)
            try:
                llm.talks(
                    name, python, rounds=options.rounds, clients=clients, folder=self.folder, note=self._take
                )
            except RuntimeError as error:
                print(f"No sample: {error}", file=sys.stderr)
        title = "A language model: SmolLM2-135M-Instruct on llama.cpp"
        return f"{_about(title, chosen.values())}\n\n{llm.compared(self.samples)}"

    def _llm_first(self) -> str:
        options = self.options
        llm_first.first_tokens(
            interpreter(llm_first.SERVER.environment, options.cache),
            cores=",".join(map(str, sorted(os.sched_getaffinity(0)))),
            rounds=options.rounds,
            clients=[int(count) for count in options.workload] or llm.CLIENTS,
            folder=self.folder,
            note=self._take,
        )
        title = "The first token through a chute: pairs of requests, one to the chute and one to its engine"
        return f"{_about(title, [llm_first.SERVER])}\n\n{llm_first.later(self.samples)}"

    def _deploy(self) -> str:
        # It brings the platforms, which no other table needs.
        from benchmarks.deploy import deployments

        options = self.options
        tables, self.samples = deployments(
            options.workload, rounds=options.rounds, seconds=options.seconds, folder=self.folder
        )
        return tables

    def _ray(self) -> str:
        from benchmarks.ray import on_ray

        options = self.options
        tables, self.samples = on_ray(
            options.workload, rounds=options.rounds, seconds=options.seconds, folder=self.folder
        )
        return tables

    def _take(self, sample: Any) -> None:
        self.samples.append(sample)
        print(sample, file=sys.stderr)

    def _chosen(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if not self.only or name in self.only]

    def _pythons(self, names: Iterable[str]) -> dict[str, Path]:
        """The interpreter of each server."""
        environments = {name: SERVERS[name].environment for name in names}
        made = {one: interpreter(one, self.options.cache) for one in set(environments.values())}
        return {name: made[environment] for name, environment in environments.items()}

    def _note(self, sample: Callable[[], Any]) -> None:
        """Take one sample, in several tries while the machine is busy; a server that gives none is left out."""
        try:
            self.samples.append(least_disturbed(sample, self.options.tries))
        except (RuntimeError, ValueError) as error:
            print(f"No sample: {error}", file=sys.stderr)
        else:
            print(self.samples[-1], file=sys.stderr)


def _preface(title: str, entries: Iterable[Entry]) -> str:
    return _about(title, [SERVERS[entry.server] for entry in entries], "load by wrk; ")


def _about(title: str, servers: Iterable[Server], load: str = "") -> str:
    versions = sorted({f"{one.package} {version_of(one.environment, one.package)}" for one in servers})
    return f"{title}\n\n{dt.date.today()}, {describe()}, {load}{', '.join(versions)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "table",
        choices=[
            *COMPARISONS,
            "startup",
            "overload",
            "disconnect",
            "instructions",
            "jobs",
            "llm",
            "llm-first",
            "deploy",
            "ray",
            "all",
        ],
    )
    parser.add_argument("--rounds", type=int, default=3, help="samples of each server (default: 3)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a sample (default: 2)")
    parser.add_argument(
        "--tries", type=int, default=3, help="for a sample while the machine is busy (default: 3)"
    )
    parser.add_argument(
        "--server", action="append", default=[], help="only this one; may be given several times"
    )
    parser.add_argument(
        "--workload", action="append", default=[], help="only this part of a table, such as model, or rates"
    )
    parser.add_argument("--json", type=Path, help="write all samples into this file")
    parser.add_argument(
        "--cache", type=Path, default=_CACHE, help=f"for the environments (default: {_CACHE})"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, Path(folder))
        print(run.table())
    if options.json:
        samples = [one if isinstance(one, tuple) else asdict(one) for one in run.samples]
        options.json.write_text(json.dumps(samples, indent=1))


if __name__ == "__main__":
    main()
