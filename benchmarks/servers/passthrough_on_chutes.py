"""Passthrough cords, with everything on: admission, metrics, request ids, headers filtered, clients watched."""

from benchmarks.servers.payloads import CONCURRENCY
from benchmarks.servers.upstream import start_upstream
from chutes.chute import Chute

PORT = start_upstream()

chute = Chute("benchmarks", "forward", "python:3.11", concurrency=CONCURRENCY)


@chute.cord("/model", passthrough=True, passthrough_port=PORT)
async def model(self: Chute) -> None: ...


@chute.cord("/stream", method="GET", stream=True, passthrough=True, passthrough_port=PORT)
async def stream(self: Chute) -> None: ...
