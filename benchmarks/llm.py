"""A language model through a server: time to the first token, and tokens a second, beside the bare engine.

chutes starts its engine itself, so that the bare engine is the very same process, asked at its own port: samples of the two
take turns within one start.
"""

import asyncio
import os
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.lineup import Server, Workload
from benchmarks.llm_load import Address, Spoken, spoken
from benchmarks.machine import marked_words
from benchmarks.serving import Served, Watch, serving
from benchmarks.tables import table

__all__ = ["BARE", "CLIENTS", "SERVERS", "Talk", "compared", "engine_of", "pairs", "talks"]

CLIENTS = (1, 8, 32)
BARE = "bare engine"
_REQUESTS = {1: 12, 8: 32, 32: 64}
_MODEL = "SmolLM2-135M-Instruct.Q4_1"
_ENGINE = "llamacpp_server.py"
_CHUTES = "chutes"
_TRANSFORMERS = "transformers serve"
_ASKED = Workload(
    name="llm",
    target="/v1/chat/completions",
    body=f'{{"model":"{_MODEL}","messages":[{{"role":"user","content":"Hello"}}],"max_tokens":1}}',
)

SERVERS = {
    server.name: server
    for server in (
        Server(
            name=_CHUTES,
            environment="llm",
            package="xllamacpp",
            command=(
                "-m", "chutes", "run", "benchmarks.servers.llm_on_chutes", "--port", "{port}", "--log-level", "warning",
            ),
        ),
        Server(
            name="LitServe",
            environment="llm_litserve",
            package="litserve",
            command=("-m", "benchmarks.servers.llm_on_litserve", "{port}"),
        ),
        Server(
            name=_TRANSFORMERS,
            environment="llm_transformers",
            package="transformers",
            command=("-m", "benchmarks.servers.llm_on_transformers", "{port}"),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One server under so many clients, for some answers each.

    Attributes:
        server: its name.
        clients: at once.
        first: seconds to the first token, of each answer.
        rate: tokens a second, of all clients together.
        faults: why requests brought no whole answer.
        foreign: cores that were busy with others.
    """

    server: str
    clients: int
    first: tuple[float, ...] = field(repr=False)
    rate: float
    foreign: float
    faults: tuple[str, ...] = ()


def talks(
    name: str,
    python: Path,
    *,
    rounds: int,
    clients: Sequence[int],
    folder: Path,
    note: Callable[[Talk], None],
) -> None:
    """Start the server once, and give `note` its samples; of chutes those of its engine too, in turns."""
    every = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    with serving(SERVERS[name], _ASKED, python, core=every, folder=folder) as served:
        # transformers' server refuses a field that it does not know.
        alike = name != _TRANSFORMERS
        url = f"http://127.0.0.1:{served.port}"
        addresses = {name: Address(url=url, headers={}, model=_MODEL, alike=alike)}
        if name == _CHUTES:
            addresses[BARE] = engine_of(served)
        for one, count in pairs(list(addresses), rounds, clients):
            note(_talk(one, addresses[one], count, served))


def pairs(names: Sequence[str], rounds: int, clients: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Each name with each number of clients, once a round; who comes first is drawn anew each time."""
    draws = random.Random(1)
    for _ in range(rounds):
        for count in clients:
            for name in draws.sample(names, len(names)):
                yield name, count


def _talk(name: str, address: Address, clients: int, served: Served) -> Talk:
    watch = Watch(served)
    found: Spoken = asyncio.run(
        spoken(address, clients=clients, requests=_REQUESTS.get(clients, 2 * clients))
    )
    _, foreign = watch.read(served)
    rate = found.tokens / found.seconds
    return Talk(
        server=name, clients=clients, first=found.first, rate=rate, foreign=foreign, faults=found.faults
    )


def engine_of(served: Served) -> Address:
    """The engine that a chute has started, read from its own command line and environment.

    Raises:
        RuntimeError: it has none.
    """
    for pid in served.pids():
        words, environment = marked_words(pid)
        if any(word.endswith(_ENGINE) for word in words):
            port, key = words[words.index("--port") + 1], environment["LLAMA_API_KEY"]
            headers = {"Authorization": f"Bearer {key}"}
            return Address(url=f"http://127.0.0.1:{port}", headers=headers, model=_MODEL)
    raise RuntimeError(f"None of the processes of the chute is {_ENGINE}.")


def compared(found: Iterable[Talk]) -> str:
    """A table: every server at every number of clients, beside the bare engine."""
    groups: dict[tuple[int, str], list[Talk]] = {}
    for talk in found:
        groups.setdefault((talk.clients, talk.server), []).append(talk)
    head = (
        "clients: server", "tokens/s", "of the engine", "first token ms", "more than the engine", "p95 ms", "failed",
        "others' load", "n",
    )  # fmt: skip
    return table(head, [_row(key, groups) for key in sorted(groups, key=_place)])


def _place(key: tuple[int, str]) -> tuple[int, int, str]:
    clients, server = key
    return clients, [BARE, _CHUTES].index(server) if server in (BARE, _CHUTES) else 2, server


def _row(key: tuple[int, str], groups: dict[tuple[int, str], list[Talk]]) -> list[str]:
    clients, server = key
    here, bare = groups[key], groups.get((clients, BARE), [])
    rate, first = _rate(here), _first(here)
    share = f"{rate / _rate(bare):.3f}" if bare else ""
    more = f"{1000 * (first - _first(bare)):+.1f}" if bare else ""
    times = sorted(seconds for talk in here for seconds in talk.first)
    late = times[int(0.95 * (len(times) - 1))] if times else 0.0
    return [
        f"{clients}: {server}",
        f"{rate:.1f}",
        share,
        f"{1000 * first:.1f}",
        more,
        f"{1000 * late:.1f}",
        str(sum(len(talk.faults) for talk in here)),
        f"{max(talk.foreign for talk in here):.2f}",
        str(len(here)),
    ]


def _rate(found: Sequence[Talk]) -> float:
    return statistics.median(talk.rate for talk in found)


def _first(found: Sequence[Talk]) -> float:
    times = [seconds for talk in found for seconds in talk.first]
    return statistics.median(times) if times else 0.0
