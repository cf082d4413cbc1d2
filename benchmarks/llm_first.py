"""How much later a first token comes through a chute than from its bare engine: pairs of requests, one to each of the two.

Both of a pair ask the same at the same moment, so that they stand in one queue, most often for one and the same step of the
engine: what is left between them is the chute. A single client asks one after the other, since an idle engine would begin
with the first alone. Answers differ in their lengths, and clients pause between them, so that no request comes just when a
step begins, which is when others have ended. Prompts are short: who misses a step waits for a whole one.
"""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.lineup import Server, Workload
from benchmarks.llm import CLIENTS, SERVERS, engine_of
from benchmarks.llm_load import Address
from benchmarks.llm_wire import Asking
from benchmarks.serving import Watch, serving
from benchmarks.tables import table

__all__ = ["PAIRS", "SERVER", "Pairs", "asked_in_pairs", "first_tokens", "later"]

PAIRS = {1: 120, 8: 400, 32: 640}
"""In each round, by the number of clients."""

_MODEL = "SmolLM2-135M-Instruct.Q4_1"
_LENGTHS = (4, 12)
_SURE = 1.96
_PAUSE = 0.5
_BODY = {"model": _MODEL, "prompt": "Hello", "max_tokens": 1}
_ASKED = Workload(name="llm", target="/v1/completions", body=json.dumps(_BODY))
SERVER = Server(
    name="chutes, all at once",
    environment="llm",
    package="xllamacpp",
    command=tuple(word.replace("llm_on_chutes", "llm_wide_on_chutes") for word in SERVERS["chutes"].command),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What so many clients found, each of which asks the chute and its engine.

    Attributes:
        clients: at once.
        bare: seconds to the first token of the engine, of each pair.
        ours: the same through the chute.
        faults: why pairs have no figures.
        foreign: cores that were busy with others.
    """

    clients: int
    bare: tuple[float, ...] = field(repr=False)
    ours: tuple[float, ...] = field(repr=False)
    faults: tuple[str, ...] = ()
    foreign: float = 0.0


def first_tokens(
    python: Path,
    *,
    cores: str,
    rounds: int,
    clients: Iterable[int] = CLIENTS,
    folder: Path,
    note: Callable[[Pairs], None],
) -> None:
    """Start a chute with its engine, and give `note` the pairs of each number of clients, `rounds` times in turn."""
    numbers = count()
    with serving(SERVER, _ASKED, python, core=cores, folder=folder) as served:
        engine = engine_of(served)
        ours = Address(url=f"http://127.0.0.1:{served.port}", headers={}, model=_MODEL)
        for _ in range(rounds):
            for those in clients:
                watch = Watch(served)
                asked = asked_in_pairs(
                    engine, ours, clients=those, pairs=PAIRS.get(those, 200), numbers=numbers
                )
                found = asyncio.run(asked)
                note(replace(found, foreign=watch.read(served)[1]))


async def asked_in_pairs(
    bare: Address, ours: Address, *, clients: int, pairs: int, numbers: Iterator[int]
) -> Pairs:
    """Ask so many pairs of questions, by so many clients at once; `numbers` makes each question another one."""
    one, other = _asking(bare), _asking(ours)
    found: list[tuple[float, float]] = []
    faults: list[str] = []
    left = iter(range(pairs))

    async def ask(seed: int) -> None:
        chance = random.Random(seed)
        for _ in left:
            body = _question(next(numbers), chance.randint(*_LENGTHS))
            swap, began = chance.random() < 0.5, time.perf_counter()  # noqa: PLR2004 - a coin
            try:
                found.append(await _pair(one, other, body, together=clients > 1, swap=swap))
            except (OSError, RuntimeError) as error:
                faults.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(chance.uniform(0, _PAUSE) * (time.perf_counter() - began))

    await asyncio.gather(*(ask(seed) for seed in range(clients)))
    bare_times, our_times = zip(*found, strict=True) if found else ((), ())
    return Pairs(clients=clients, bare=bare_times, ours=our_times, faults=tuple(faults))


async def _pair(
    bare: Asking, ours: Asking, body: bytes, *, together: bool, swap: bool
) -> tuple[float, float]:
    """Seconds to the first token of both; with `swap` the chute is asked first."""
    ways = (ours, bare) if swap else (bare, ours)
    if together:
        times = await asyncio.gather(*(way.first_token(body) for way in ways))
    else:
        times = [await way.first_token(body) for way in ways]
    return (times[1], times[0]) if swap else (times[0], times[1])


def later(found: Iterable[Pairs]) -> str:
    """A table: how much later the first token comes through the chute, at every number of clients."""
    groups: dict[int, list[Pairs]] = {}
    for pairs in found:
        groups.setdefault(pairs.clients, []).append(pairs)
    head = (
        "clients", "pairs", "bare engine ms", "chutes ms", "later, mean ms", "95 % of that", "later, median ms",
        "failed", "others' load",
    )  # fmt: skip
    return table(head, [_row(those, groups[those]) for those in sorted(groups)])


def _row(clients: int, found: list[Pairs]) -> list[str]:
    bare = [seconds for pairs in found for seconds in pairs.bare]
    ours = [seconds for pairs in found for seconds in pairs.ours]
    gaps = [1000 * (late - soon) for soon, late in zip(bare, ours, strict=True)]
    failed, foreign = (
        sum(len(pairs.faults) for pairs in found),
        max((pairs.foreign for pairs in found), default=0.0),
    )
    if len(gaps) < 2:  # noqa: PLR2004 - no spread without two
        return [str(clients), str(len(gaps)), *[""] * 5, str(failed), f"{foreign:.2f}"]
    mean = statistics.fmean(gaps)
    margin = _SURE * statistics.stdev(gaps) / len(gaps) ** 0.5
    return [
        str(clients),
        str(len(gaps)),
        f"{1000 * statistics.median(bare):.1f}",
        f"{1000 * statistics.median(ours):.1f}",
        f"{mean:+.1f}",
        f"{mean - margin:+.1f} to {mean + margin:+.1f}",
        f"{statistics.median(gaps):+.1f}",
        str(failed),
        f"{foreign:.2f}",
    ]


def _asking(address: Address) -> Asking:
    parts = urlsplit(address.url)
    return Asking(parts.hostname or "127.0.0.1", parts.port or 80, _ASKED.target, address.headers)


def _question(number: int, tokens: int) -> bytes:
    """A body that every engine answers anew, and at that length."""
    body = {
        "model": _MODEL, "prompt": f"Chapter {number}", "max_tokens": tokens, "temperature": 0, "stream": True,
        "ignore_eos": True, "cache_prompt": False,
    }  # fmt: skip
    return json.dumps(body).encode()
