"""Webhooks over the deaths of processes: whoever is left tells the end of a run."""

import asyncio
import contextlib
import secrets

import pytest

from chutes.jobs.deliveries import Deliveries, DeliveryOptions
from chutes.jobs.run import Status
from chutes.jobs.store import Store
from chutes.jobs.webhook import WebhookStatus
from chutes.jobs.webhook_sender import WebhookSender
from chutes.settings import WebhookSettings
from chutes.testing import async_wait_until
from support.job_process import JobProcess, database
from support.receiver import SECRET, receiver

LOCAL = WebhookSettings(secrets=(SECRET,), private_hosts=("127.0.0.1",))
QUICK = DeliveryOptions(backoff_base=0.01, backoff_cap=0.02)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, tmp_path):
    """An empty database, as a process is told of it."""
    if request.param == "sqlite":
        return str(tmp_path / "jobs.db")
    return f"{request.getfixturevalue('postgres_server').url()} test_{secrets.token_hex(8)}"


@contextlib.asynccontextmanager
async def telling(where):
    store = Store(database(where), "test")
    await store.open()
    deliveries = Deliveries(store, lambda: WebhookSender(LOCAL), QUICK)
    deliveries.start()
    try:
        yield store
    finally:
        await deliveries.stop()
        await store.close()


async def told(store, run_id):
    async with asyncio.timeout(90):
        while (run := await store.get(run_id)).webhook.status is WebhookStatus.PENDING:
            await asyncio.sleep(0.02)
    return run


@contextlib.contextmanager
def other_process(where, action):
    process = JobProcess(where, action)
    try:
        process.get_ready()
        process.go()
        yield process
    finally:
        process.kill()


async def test_the_end_of_a_run_is_told_though_its_process_died_at_once(where, monkeypatch):
    with receiver(204) as there:
        monkeypatch.setenv("WEBHOOK", there.url)
        with other_process(where, "end_and_die") as process:
            run_id = await asyncio.to_thread(process.answer)
            await asyncio.to_thread(process.wait)
            assert there.told == []
        async with telling(where) as store:
            run = await told(store, run_id)

    assert (run.status, run.attempt) == (Status.SUCCEEDED, 1)
    assert (run.webhook.status, run.webhook.attempts) == (WebhookStatus.DELIVERED, 1)
    (one,) = there.told
    assert (one.verified()["data"]["id"], one.verified()["data"]["result"]) == (run_id, "kept")


async def test_a_process_that_dies_while_it_tells_leaves_that_to_another(where, monkeypatch):
    with receiver(None, 204) as there:
        monkeypatch.setenv("WEBHOOK", there.url)
        with other_process(where, "end_and_tell") as process:
            run_id = await asyncio.to_thread(process.answer)
            await async_wait_until(lambda: there.told, 60)
        async with telling(where) as store:
            run = await told(store, run_id)

    assert (run.webhook.status, run.webhook.attempts) == (WebhookStatus.DELIVERED, 2)
    first, second = there.told
    assert (first.id, first.body) == (second.id, second.body)
    assert second.verified()["data"]["id"] == run_id
