"""Call a running chute over HTTP: its cords, its streams, its jobs and its health."""

from chutes.client.answer import check
from chutes.client.async_jobs import AsyncJobs, AsyncRemoteRun
from chutes.client.call import ABSENT, Call
from chutes.client.clients import AsyncClient, Client
from chutes.client.clock import Clock, FakeClock, SystemClock
from chutes.client.decode import items, streams, value_of
from chutes.client.job_calls import JobEvent
from chutes.client.jobs import Jobs, RemoteRun

__all__ = [
    "ABSENT",
    "AsyncClient",
    "AsyncJobs",
    "AsyncRemoteRun",
    "Call",
    "Client",
    "Clock",
    "FakeClock",
    "JobEvent",
    "Jobs",
    "RemoteRun",
    "SystemClock",
    "check",
    "items",
    "streams",
    "value_of",
]
