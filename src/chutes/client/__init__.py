"""Call a running chute over HTTP: its cords, its streams and its health."""

from chutes.client.answer import check
from chutes.client.call import ABSENT, Call
from chutes.client.clients import AsyncClient, Client
from chutes.client.clock import Clock, FakeClock, SystemClock
from chutes.client.decode import items, streams, value_of

__all__ = [
    "ABSENT",
    "AsyncClient",
    "Call",
    "Client",
    "Clock",
    "FakeClock",
    "SystemClock",
    "check",
    "items",
    "streams",
    "value_of",
]
