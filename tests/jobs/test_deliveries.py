"""When webhooks are told: at once, again after a while, and not for ever."""

import asyncio
import contextlib
import logging

import pytest

from chutes.errors import StoreError
from chutes.jobs.deliveries import Answer, Deliveries, DeliveryOptions
from chutes.jobs.memory import Memory
from chutes.jobs.run import Status
from chutes.jobs.store import Ending, NewRun, Store
from chutes.jobs.webhook import WebhookStatus
from chutes.testing import async_wait_until

URL = "https://example.com/hooks"
DOWN = Answer(error="down")
QUICK = DeliveryOptions(backoff_base=0.001, backoff_cap=0.002)


class FakeSender:
    """Gives the next of these answers, the last one for all further attempts; raises those that are errors."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.told = []
        self.busy = self.most = 0
        self.free = asyncio.Event()
        self.free.set()

    async def send(self, url, run):
        self.told.append((url, run.id, run.webhook.attempts))
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            await self.free.wait()
        finally:
            self.busy -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def store():
    store = Store(Memory(), "worker")
    await store.open()
    yield store
    await store.close()


async def end(store, status=Status.SUCCEEDED):
    await store.insert(NewRun(job="embed", webhook=URL))
    (run,) = await store.claim(["embed"], 1)
    return await store.finish(run, Ending(status=status, result="1"))


@contextlib.asynccontextmanager
async def telling(store, sender, options=QUICK):
    deliveries = Deliveries(store, lambda: sender, options)
    outcomes = []
    deliveries.ended.append(lambda run, outcome: outcomes.append((run.id, outcome)))
    deliveries.start()
    try:
        yield deliveries, outcomes
    finally:
        await deliveries.stop()


async def settled(store, run):
    async with asyncio.timeout(60):
        while (found := await store.get(run.id)).webhook.status is WebhookStatus.PENDING:
            await asyncio.sleep(0.005)
    return found


async def test_the_end_of_a_run_is_told_once(store, caplog):
    caplog.set_level(logging.INFO, "chutes.jobs.webhooks")
    sender = FakeSender(Answer())
    async with telling(store, sender) as (deliveries, outcomes):
        run = await end(store)
        deliveries.note(run)
        told = await settled(store, run)

    assert sender.told == [(URL, run.id, 1)]
    assert (told.webhook.status, told.webhook.attempts) == (WebhookStatus.DELIVERED, 1)
    assert outcomes == [(run.id, "delivered")]
    assert f"Attempt 1 to tell the webhook of run {run.id} of job 'embed' went well." in caplog.text


async def test_what_was_due_before_the_start_is_told(store):
    runs = [await end(store) for _ in range(3)]
    sender = FakeSender(Answer())
    async with telling(store, sender):
        for run in runs:
            await settled(store, run)

    assert sorted(run_id for _, run_id, _ in sender.told) == sorted(run.id for run in runs)


async def test_a_failed_attempt_is_repeated(store, caplog):
    run = await end(store)
    sender = FakeSender(DOWN, DOWN, Answer())
    async with telling(store, sender) as (_, outcomes):
        told = await settled(store, run)

    assert [attempt for _, _, attempt in sender.told] == [1, 2, 3]
    assert (told.webhook.status, told.webhook.attempts) == (WebhookStatus.DELIVERED, 3)
    assert [outcome for _, outcome in outcomes] == ["retried", "retried", "delivered"]
    assert "failed, and is followed by another: down" in caplog.text


async def test_after_its_attempts_a_webhook_has_failed(store, caplog):
    run = await end(store)
    options = DeliveryOptions(max_attempts=3, backoff_base=0.001, backoff_cap=0.002)
    async with telling(store, FakeSender(DOWN), options) as (_, outcomes):
        told = await settled(store, run)

    assert (told.webhook.status, told.webhook.attempts) == (WebhookStatus.FAILED, 3)
    assert told.webhook.last_error == "down"
    assert [outcome for _, outcome in outcomes] == ["retried", "retried", "failed"]
    assert "Attempt 3" in caplog.text
    assert "failed, and is the last: down" in caplog.text


async def test_a_receiver_that_wants_no_more_is_told_no_more(store):
    run = await end(store)
    sender = FakeSender(Answer(error="gone", is_final=True))
    async with telling(store, sender):
        told = await settled(store, run)

    assert (told.webhook.status, len(sender.told)) == (WebhookStatus.FAILED, 1)


async def test_a_fault_of_the_sender_counts_as_an_attempt(store, caplog):
    run = await end(store)
    async with telling(store, FakeSender(ZeroDivisionError("oops"), Answer())):
        told = await settled(store, run)

    assert told.webhook.attempts == 2
    assert "oops" in caplog.text


async def test_waits_are_left_to_chance_up_to_a_limit_that_doubles(store, monkeypatch):
    limits = []

    def uniform(low, high):
        limits.append((low, high))
        return 0.0

    monkeypatch.setattr("chutes.jobs.deliveries.random.uniform", uniform)
    run = await end(store)
    async with telling(store, FakeSender(DOWN), DeliveryOptions()):
        told = await settled(store, run)

    assert limits == [(0, min(10 * 2**attempt, 4 * 3600)) for attempt in range(14)]
    assert told.webhook.attempts == 15


async def test_a_receiver_is_left_alone_for_as_long_as_it_says(store):
    run = await end(store)
    async with telling(store, FakeSender(Answer(error="busy", wait=1800.0))) as (_, outcomes):
        await async_wait_until(lambda: outcomes, 60)

    _, wait = await store.webhooks.look()
    assert 1700 < wait <= 1800
    assert (await store.get(run.id)).webhook.last_error == "busy"


async def test_no_more_than_so_many_are_told_at_once(store):
    runs = [await end(store) for _ in range(5)]
    sender = FakeSender(Answer())
    sender.free.clear()
    options = DeliveryOptions(at_once=2)
    async with telling(store, sender, options):
        await async_wait_until(lambda: sender.busy == 2, 60)
        assert len(sender.told) == 2
        sender.free.set()
        for run in runs:
            await settled(store, run)

    assert sender.most == 2
    assert len(sender.told) == 5


async def test_what_is_under_way_at_the_end_is_handed_back(store, monkeypatch):
    monkeypatch.setattr("chutes.jobs.deliveries._STOP_SECONDS", 0.01)
    run = await end(store)
    sender = FakeSender(Answer())
    sender.free.clear()
    async with telling(store, sender):
        await async_wait_until(lambda: sender.busy, 60)

    assert sender.busy == 0
    left = await store.get(run.id)
    assert (left.webhook.status, left.webhook.attempts) == (WebhookStatus.PENDING, 0)
    assert (await store.webhooks.look())[1] <= 0


async def test_what_a_dead_process_was_telling_is_told_again(store):
    beside = Store(Memory(beside=store.database), "dying")
    await beside.open()
    run = await end(store)
    assert await beside.webhooks.claim(1)
    await beside.close()
    sender = FakeSender(Answer())
    async with telling(store, sender) as (_, outcomes):
        told = await settled(store, run)

    assert [outcome for _, outcome in outcomes] == ["retried", "delivered"]
    assert told.webhook.attempts == 2


async def test_a_database_that_is_away_loses_nothing(store, monkeypatch, caplog):
    monkeypatch.setattr("chutes.jobs.deliveries._TROUBLE_SECONDS", 0.01)
    run = await end(store)
    sender = FakeSender(Answer())
    sender.free.clear()
    truly, away = store.database.run, [False]

    async def flaky(*steps, write=True):
        if away[0]:
            raise StoreError("The database is away.")
        return await truly(*steps, write=write)

    monkeypatch.setattr(store.database, "run", flaky)
    async with telling(store, sender):
        await async_wait_until(lambda: sender.busy, 60)
        away[0] = True
        sender.free.set()
        await async_wait_until(lambda: "is not stored yet" in caplog.text, 60)
        await async_wait_until(lambda: "Webhooks wait until it is back." in caplog.text, 60)
        away[0] = False
        told = await settled(store, run)

    assert told.webhook.attempts == len(sender.told) == 1
