"""A steady load on a deployed chute: each call has an id, so that a lost one can be looked up where it may have been begun."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chutes.client import Client
from chutes.errors import CallError

__all__ = ["CLIENTS", "PER_SECOND", "Calls", "load"]

PER_SECOND = 50
CLIENTS = ("kept connections", "new connections", "chutes.client", "chutes.client, with keys")
_EACH = 10
_TIMEOUT = 60


@dataclass(kw_only=True)
class Calls:
    """What became of the calls of one kind of client, by their ids.

    Attributes:
        answered: with 200, and what the answer was.
        failed: the others, and why.
    """

    answered: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@contextmanager
def load(
    url: str, kinds: Sequence[str] = CLIENTS, per_second: float = PER_SECOND
) -> Iterator[dict[str, Calls]]:
    """Steady calls of each kind of client, from ten threads each, until the block is left.

    Args:
        url: of the chute; its cord `/call` takes an id.
        kinds: of `CLIENTS`.
        per_second: calls of each kind.
    """
    over = threading.Event()
    # No two loads share an id: what was begun in an earlier one is not counted as this one's.
    prefix, numbers = str(time.time_ns()), itertools.count()

    def name() -> str:
        return f"{prefix}-{next(numbers)}"

    found = {kind: Calls() for kind in kinds}
    pause = _EACH / per_second
    threads = [
        threading.Thread(target=_call_on, args=(_asking(url, kind), found[kind], name, pause, over))
        for kind in kinds
        for _ in range(_EACH)
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _call_on(
    client: tuple[Callable[[str], str], Callable[[], None]],
    calls: Calls,
    new_name: Callable[[], str],
    pause: float,
    over: threading.Event,
) -> None:
    ask, close = client
    following = time.monotonic()
    while not over.wait(max(0.0, following - time.monotonic())):
        following += pause
        name = new_name()
        try:
            calls.answered[name] = ask(name)
        except (OSError, http.client.HTTPException, CallError) as error:
            calls.failed[name] = repr(error)
    close()


def _asking(url: str, kind: str) -> tuple[Callable[[str], str], Callable[[], None]]:
    """How a kind of client calls, and how it ends."""
    if kind.startswith("chutes.client"):
        client, keyed = Client(url, timeout=_TIMEOUT), kind.endswith("keys")

        def call(name: str) -> str:
            return str(client.call("/call", id=name, headers={"Idempotency-Key": name} if keyed else {}))

        return call, client.close
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=_TIMEOUT)

    def ask(name: str) -> str:
        try:
            connection.request(
                "POST",
                f"{place.path.rstrip('/')}/call",
                json.dumps({"id": name}),
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if kind == "new connections":
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"{answer.status}: {body!r}")
        return str(json.loads(body))

    return ask, connection.close
