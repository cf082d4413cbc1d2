"""What is known about one request while it is answered."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

if TYPE_CHECKING:
    from chutes.serve.admission import Place
    from chutes.serve.disconnects import Disconnects
    from chutes.serve.metrics import CordMeter

__all__ = ["Exchange", "exchange_of"]

_KEY = "chutes.exchange"


class Exchange:
    """One request and its answer so far; every layer between the server and the cord sees the same one."""

    __slots__ = ("answering", "complete", "disconnects", "meter", "place", "request_id", "since", "status")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.since = time.perf_counter()
        self.status = 0
        self.answering = False
        self.complete = False
        self.meter: CordMeter | None = None
        self.place: Place | None = None
        self.disconnects: Disconnects | None = None

    def attach(self, scope: Scope, values: Mapping[str, Any]) -> None:
        """Make this the exchange of `scope`; `request.state` gets its id, and what the lifespan yielded."""
        scope[_KEY] = self
        scope["state"] = {**scope.get("state", {}), **values, "request_id": self.request_id}


def exchange_of(scope: Scope) -> Exchange:
    """The exchange of a request; a new one when the application is served without the chute around it."""
    found = scope.get(_KEY)
    if not isinstance(found, Exchange):
        found = Exchange(request_id="")
        scope[_KEY] = found
    return found
