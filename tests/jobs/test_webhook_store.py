"""What every database must do with the webhooks of runs: the same tests for all of them."""

import asyncio

import pytest

from chutes.errors import KeyConflict
from chutes.jobs.run import Run, Status
from chutes.jobs.store import Ending, NewRun, Store
from chutes.jobs.webhook import Webhook, WebhookStatus

URL = "https://example.com/hooks"
DONE = Ending(status=Status.SUCCEEDED, result="1")
FAILED = Ending(status=Status.FAILED, error="boom")


async def ended(store: Store, ending: Ending = DONE, webhook: str | None = URL, attempts: int = 1) -> Run:
    run, _ = await store.insert(NewRun(job="embed", webhook=webhook, max_attempts=attempts))
    (claimed,) = await store.claim(["embed"], 1)
    assert claimed.id == run.id
    return await store.finish(claimed, ending)


async def claim_one(store: Store) -> Run:
    (run,) = await store.webhooks.claim(10)
    return run


async def test_a_run_keeps_its_webhook_and_shows_it(store):
    run, _ = await store.insert(NewRun(job="embed", webhook=URL))

    pending = Webhook(url=URL, status=WebhookStatus.PENDING, attempts=0, last_error=None, delivered_at=None)
    assert (await store.get(run.id)).webhook == run.webhook == pending
    assert run.shown()["webhook"] == {
        "url": URL, "status": "pending", "attempts": 0, "last_error": None, "delivered_at": None,
    }  # fmt: skip
    plain, _ = await store.insert(NewRun(job="embed"))
    assert plain.webhook is None
    assert plain.shown()["webhook"] is None


async def test_nothing_is_told_before_the_end_of_a_run(store):
    await store.insert(NewRun(job="embed", webhook=URL))
    assert await store.webhooks.look() == (False, None)
    (run,) = await store.claim(["embed"], 1)
    assert await store.webhooks.claim(10) == []

    await store.finish(run, Ending(status=Status.QUEUED, error="again"))

    assert await store.webhooks.look() == (False, None)
    assert await store.webhooks.claim(10) == []
    assert await store.webhooks.waiting() == 0


async def test_each_end_of_a_run_is_to_be_told(store):
    succeeded = await ended(store)
    failed = await ended(store, FAILED)
    queued, _ = await store.insert(NewRun(job="embed", webhook=URL))
    await store.cancel(queued.id)
    await ended(store, webhook=None)

    delivering, wait = await store.webhooks.look()
    assert not delivering
    assert wait <= 0
    assert await store.webhooks.waiting() == 3
    claimed = await store.webhooks.claim(10)
    assert {run.id for run in claimed} == {succeeded.id, failed.id, queued.id}
    assert [run.webhook.attempts for run in claimed] == [1, 1, 1]
    assert await store.webhooks.waiting() == 0


async def test_the_end_of_an_interrupted_run_is_to_be_told(new_store, new_database):
    dying, other = await new_store("dying"), await new_store("other")
    dying.database.lease_ms = 1
    await dying.insert(NewRun(job="embed", webhook=URL, max_attempts=1))
    (run,) = await dying.claim(["embed"], 1)
    await dying.close()
    async with asyncio.timeout(30):
        while not await other.recover():
            await asyncio.sleep(0.02)

    told = await claim_one(other)

    assert (told.id, told.status, told.error) == (run.id, Status.FAILED, "interrupted")


async def test_a_delivery_is_claimed_once(new_store):
    one, two = await new_store(), await new_store()
    for _ in range(6):
        await ended(one)

    found = await asyncio.gather(*(store.webhooks.claim(2) for store in (one, two) * 3))

    ids = [run.id for runs in found for run in runs]
    assert len(set(ids)) == len(ids)
    while more := await one.webhooks.claim(10):
        ids += [run.id for run in more]
    assert len(set(ids)) == len(ids) == 6


async def test_what_was_delivered_is_told_no_more(store):
    await ended(store)
    run = await claim_one(store)

    stored = await store.webhooks.delivered(run)

    assert stored.webhook.status is WebhookStatus.DELIVERED
    assert (stored.webhook.attempts, stored.webhook.last_error) == (1, None)
    assert stored.webhook.delivered_at >= stored.finished_at
    assert (stored.status, stored.result, stored.finished_at) == (run.status, run.result, run.finished_at)
    assert await store.webhooks.look() == (False, None)


async def test_a_failed_attempt_waits_for_the_next_one(store):
    await ended(store)
    stored = await store.webhooks.failed(await claim_one(store), "answered 500", 3_600_000)

    assert (stored.webhook.status, stored.webhook.last_error) == (WebhookStatus.PENDING, "answered 500")
    delivering, wait = await store.webhooks.look()
    assert not delivering
    assert 3500 < wait <= 3600
    assert await store.webhooks.claim(10) == []
    assert await store.webhooks.waiting() == 1


async def test_after_the_last_attempt_there_is_none(store):
    await ended(store)
    await store.webhooks.failed(await claim_one(store), "first", 0)
    stored = await store.webhooks.failed(await claim_one(store), "second", None)

    assert stored.webhook.status is WebhookStatus.FAILED
    assert (stored.webhook.attempts, stored.webhook.last_error) == (2, "second")
    assert await store.webhooks.look() == (False, None)


async def test_what_is_handed_back_does_not_count(store):
    await ended(store)
    await store.webhooks.failed(await claim_one(store), "down", 0)
    stored = await store.webhooks.hand_back(await claim_one(store))

    assert (stored.webhook.attempts, stored.webhook.last_error) == (1, "down")
    assert (await claim_one(store)).webhook.attempts == 2


async def test_an_answer_that_comes_too_late_is_not_stored(new_store):
    one, two = await new_store(), await new_store()
    await ended(one)
    run = await claim_one(one)

    assert await two.webhooks.delivered(run) is None
    assert await one.webhooks.failed(run, "down", 0) is not None
    assert await one.webhooks.delivered(run) is None
    again = await claim_one(two)
    assert await one.webhooks.failed(again, "not mine", None) is None
    assert (await two.webhooks.delivered(again)).webhook.attempts == 2


async def test_a_run_that_is_queued_once_more_tells_its_next_end(store):
    first = await ended(store, FAILED)
    claimed = await claim_one(store)
    await store.retry(first.id, 1)
    assert await store.webhooks.delivered(claimed) is None
    assert await store.webhooks.look() == (False, None)
    (run,) = await store.claim(["embed"], 1)
    await store.finish(run, DONE)

    second = await claim_one(store)

    assert (second.status, second.webhook.attempts) == (Status.SUCCEEDED, 1)
    assert (await store.webhooks.delivered(second)).webhook.status is WebhookStatus.DELIVERED


async def test_a_delivery_of_a_worker_that_lives_is_left_alone(new_store):
    one, two = await new_store(), await new_store()
    await ended(one)
    await claim_one(one)

    assert (await two.webhooks.look())[0]
    assert await two.webhooks.recover(15) == []


async def test_the_delivery_of_a_worker_that_died_counts_and_is_free(new_store, monkeypatch):
    # With leases alone, nobody knows of a death before the end of the lease.
    monkeypatch.setattr("chutes.jobs.webhook_store._LEASE_MS", 1)
    dying, other = await new_store("dying"), await new_store("other")
    await ended(dying)
    await claim_one(dying)
    await dying.close()

    async with asyncio.timeout(30):
        while not (freed := await other.webhooks.recover(2)):
            await asyncio.sleep(0.02)
    (run,) = freed
    assert (run.webhook.status, run.webhook.last_error) == (WebhookStatus.PENDING, "interrupted")
    assert (await claim_one(other)).webhook.attempts == 2
    async with asyncio.timeout(30):
        while not (freed := await other.webhooks.recover(2)):
            await asyncio.sleep(0.02)
    assert freed[0].webhook.status is WebhookStatus.FAILED
    assert await other.webhooks.look() == (False, None)


async def test_a_run_stays_until_its_end_was_told(store):
    told, untold = await ended(store), await ended(store)
    for run in await store.webhooks.claim(10):
        if run.id == told.id:
            await store.webhooks.delivered(run)
        else:
            await store.webhooks.failed(run, "down", 3_600_000)

    assert await store.purge(-1) == 1
    assert await store.purge(-1, "embed") == 0
    assert await store.get(told.id) is None
    assert (await store.get(untold.id)).webhook.attempts == 1


async def test_what_was_told_in_vain_is_removed_too(store):
    run = await ended(store)
    await store.webhooks.failed(await claim_one(store), "gone", None)

    assert await store.purge(-1) == 1
    assert await store.get(run.id) is None


async def test_a_key_stands_for_one_webhook(store):
    first, _ = await store.insert(NewRun(job="embed", key="k", webhook=URL))
    again, is_new = await store.insert(NewRun(job="embed", key="k", webhook=URL))

    assert (again.id, is_new) == (first.id, False)
    for other in (None, URL + "/other"):
        with pytest.raises(KeyConflict, match="another webhook"):
            await store.insert(NewRun(job="embed", key="k", webhook=other))


@pytest.mark.parametrize("webhook", [None, URL])
async def test_the_run_of_a_schedule_has_the_webhook_of_its_job(store, webhook):
    await store.begin_schedule("nightly", "0 0 * * *")
    fired = await store.fire(NewRun(job="nightly", webhook=webhook), 4_000_000_000_000)

    assert (fired.webhook and fired.webhook.url) == webhook
    (run,) = await store.claim(["nightly"], 1)
    await store.finish(run, DONE)
    assert len(await store.webhooks.claim(10)) == bool(webhook)
