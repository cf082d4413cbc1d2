"""The databases on which every test of the job store runs."""

import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from chutes.jobs.database import Database
from chutes.jobs.memory import Memory
from chutes.jobs.postgres import Postgres
from chutes.jobs.sqlite import SQLite
from chutes.jobs.store import Store
from support.postgres import Server, shared_server

MakeStore = Callable[..., Awaitable[Store]]


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Server]:
    """One server for all test processes."""
    base = tmp_path_factory.getbasetemp()
    with shared_server(base if worker_id == "master" else base.parent) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    """Makes one more way into the same database, as another process would have."""
    schema = f"me/test-{secrets.token_hex(8)}"
    if request.param == "sqlite":
        return lambda: SQLite(tmp_path / "jobs.db")
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        return lambda: Postgres(server.url(), schema)
    first = Memory()
    return lambda: Memory(beside=first)


@pytest.fixture
async def new_store(new_database: Callable[[], Database]) -> AsyncIterator[MakeStore]:
    """Opens a store as a worker of its own; all are closed at the end."""
    numbers = itertools.count(1)
    async with contextlib.AsyncExitStack() as opened:

        async def make(worker: str = "") -> Store:
            store = Store(new_database(), worker or f"worker-{next(numbers)}")
            await store.open()
            opened.push_async_callback(store.close)
            return store

        yield make


@pytest.fixture
async def store(new_store: MakeStore) -> Store:
    """An open, empty store."""
    return await new_store()
