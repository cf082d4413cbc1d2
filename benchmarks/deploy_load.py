"""A steady load on a deployed chute: each call has an id, so that a lost one can be looked up where it may have been begun."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

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
def load(url: str) -> Iterator[dict[str, Calls]]:
    """Fifty calls a second for each kind of client, from ten threads each, until the block is left."""
    over = threading.Event()
    # No two loads share an id: what was begun in an earlier one is not counted as this one's.
    prefix, numbers = str(time.time_ns()), itertools.count()

    def name() -> str:
        return f"{prefix}-{next(numbers)}"

    found = {kind: Calls() for kind in CLIENTS}
    threads = [
        threading.Thread(target=_call_on, args=(url, kind, found[kind], name, over))
        for kind in CLIENTS
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


def _call_on(url: str, kind: str, calls: Calls, new_name: Callable[[], str], over: threading.Event) -> None:
    ask, close = _asking(url, kind)
    pause = _EACH / PER_SECOND
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
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_TIMEOUT)

    def ask(name: str) -> str:
        try:
            connection.request(
                "POST", "/call", json.dumps({"id": name}), {"Content-Type": "application/json"}
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
