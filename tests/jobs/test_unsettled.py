"""A connection that breaks after the server has committed, and before anybody hears of it."""

import asyncio
import dataclasses
import secrets
import struct
from collections.abc import AsyncIterator

import pytest

from chutes import Chute
from chutes.chute.chute import definition_of
from chutes.errors import StoreError
from chutes.jobs import unsettled
from chutes.jobs.database import Step
from chutes.jobs.postgres import Postgres
from chutes.jobs.run import Status
from chutes.jobs.runner import Runner, RunnerOptions
from chutes.jobs.service import JobService
from chutes.jobs.store import NewRun, Store
from support.child_processes import becomes_true
from support.proxies import Proxy, proxy

# Values go over the wire as they are, so that a statement is known by what it stores.
MARK = "do-not-answer"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may need longer to connect."""
    monkeypatch.setattr(unsettled, "_LONGEST_WAIT_SECONDS", 60.0)


@pytest.fixture
async def way(postgres_server) -> AsyncIterator[Proxy]:
    async with proxy(postgres_server.port) as made:
        yield made


@pytest.fixture
async def store(postgres_server, way) -> AsyncIterator[Store]:
    server = dataclasses.replace(postgres_server, port=way.port)
    store = Store(Postgres(server.url(), f"test_{secrets.token_hex(8)}"), "test")
    await store.open()
    yield store
    await store.close()


@pytest.mark.parametrize("key", [None, "june"])
async def test_a_run_that_was_stored_is_accepted(store, way, key):
    way.break_at = MARK.encode()

    run, is_new = await store.insert(NewRun(job="embed", arguments=f'{{"text":"{MARK}"}}', key=key))

    assert way.broken == 1
    assert is_new
    assert [one.id for one in await store.runs()] == [run.id]


async def test_all_that_share_a_commit_learn_of_it(store, way):
    way.break_at = MARK.encode()

    made = await asyncio.gather(
        *(store.insert(NewRun(job="embed", arguments=f'{{"text":"{MARK}"}}')) for _ in range(20))
    )

    assert way.broken == 1
    assert {one.id for one in await store.runs()} == {run.id for run, _ in made}


async def test_a_key_that_another_run_has_finds_that_one(store, way):
    first, _ = await store.insert(NewRun(job="embed", arguments=f'{{"text":"{MARK}"}}', key="june"))
    way.break_at = MARK.encode()

    found, is_new = await store.insert(NewRun(job="embed", arguments=f'{{"text":"{MARK}"}}', key="june"))

    assert way.broken == 1
    assert (found.id, is_new) == (first.id, False)


async def test_who_cannot_learn_what_became_of_a_run_is_told_so(monkeypatch):
    class Away:
        async def run(self, *steps: Step, write: bool = True):
            raise unsettled.UnsettledError("It is away.")

    monkeypatch.setattr(unsettled, "_LONGEST_WAIT_SECONDS", 0.3)
    with pytest.raises(StoreError, match="may have been accepted all the same"):
        await unsettled.accept(Away(), "0", Step("INSERT"))


@pytest.fixture
async def runner(store):
    """A runner of one job, and what it did."""
    chute = Chute(username="me", name="broken", image="python:3.11")

    @chute.job(retry_count=0)
    async def embed(self: Chute, text: str) -> str:
        begun.append(text)
        await release.wait()
        return text

    begun: list[str] = []
    release = asyncio.Event()
    jobs = definition_of(chute).jobs
    service = JobService(lambda: jobs, store)
    await service.open()
    runner = Runner(chute, service, lambda: jobs, RunnerOptions(max_jobs=4))
    runner.start()
    yield runner, begun, release
    await runner.stop(1)


async def test_a_run_that_was_claimed_unheard_is_done_all_the_same(store, way, runner):
    _, begun, release = runner
    release.set()
    # A claim names the jobs, and then how many runs it takes, as a number of eight bytes.
    way.break_at = b'["embed"]' + struct.pack(">iq", 8, 4)
    run, _ = await store.insert(NewRun(job="embed", arguments='{"text":"x"}', max_attempts=1))

    async with asyncio.timeout(60):
        while not (found := await store.get(run.id)).is_final:
            await asyncio.sleep(0.05)

    assert way.broken == 1
    assert (found.status, found.attempt, begun) == (Status.SUCCEEDED, 1, ["x"])


async def test_an_end_that_was_stored_unheard_is_told_once(store, way, runner, caplog):
    made, begun, release = runner
    ends = []
    made.finished.append(ends.append)
    run, _ = await store.insert(NewRun(job="embed", arguments=f'{{"text":"{MARK}"}}', max_attempts=1))
    await becomes_true(lambda: begun, 60)
    way.break_at = MARK.encode()
    release.set()

    await becomes_true(lambda: ends, 60)
    assert way.broken == 1
    assert [(one.id, one.status) for one in ends] == [(run.id, Status.SUCCEEDED)]
    assert "too late" not in caplog.text
