"""What every database must do with runs: the same tests for all of them."""

import asyncio

import pytest

from chutes.errors import KeyConflict
from chutes.jobs.run import Attempt, Run, Status
from chutes.jobs.store import Ending, NewRun, Store

DONE = Ending(status=Status.SUCCEEDED, result='{"a":1}')


def failed(run: Run, error: str = "boom", *, again: bool = True, delay_ms: int = 0) -> Ending:
    line = Attempt(
        number=run.attempt, started_at=run.started_at or 0, finished_at=run.started_at or 0, error=error
    )
    status = Status.QUEUED if again else Status.FAILED
    return Ending(status=status, error=error, delay_ms=delay_ms, history=line.line())


async def submit(store: Store, job: str = "embed", **options: object) -> Run:
    run, _ = await store.insert(NewRun(job=job, **options))
    return run


async def claim_one(store: Store, job: str = "embed") -> Run:
    (run,) = await store.claim([job], 1)
    return run


async def test_an_accepted_run_is_there_with_all_that_was_submitted(store):
    run, is_new = await store.insert(
        NewRun(
            job="embed", arguments='{"text":"é\\u0000"}', max_attempts=3, timeout_ms=1500, priority=7, key="k"
        )
    )

    assert is_new
    assert await store.get(run.id) == run
    assert (run.job, run.status, run.arguments) == ("embed", Status.QUEUED, '{"text":"é\\u0000"}')
    assert (run.attempt, run.max_attempts, run.timeout_ms, run.priority, run.key) == (0, 3, 1500, 7, "k")
    assert run.created_at > 1_700_000_000_000
    assert (run.worker, run.started_at, run.finished_at, run.history, run.cancel) == (
        None,
        None,
        None,
        (),
        False,
    )


async def test_an_unknown_run_is_none(store):
    assert await store.get("nothing") is None
    assert await store.cancel("nothing") is None
    assert await store.retry("nothing", 1) is None


async def test_the_oldest_run_goes_first(store):
    submitted = [(await submit(store)).id for _ in range(5)]

    claimed = [run.id for run in await store.claim(["embed"], 3)]
    claimed += [run.id for run in await store.claim(["embed"], 3)]

    assert claimed == submitted


async def test_a_higher_priority_goes_first(store):
    low, middle, high, middle_too = [(await submit(store, priority=p)).id for p in (-1, 0, 9, 0)]

    claimed = [run.id for run in await store.claim(["embed"], 10)]

    assert claimed == [high, middle, middle_too, low]


async def test_a_delayed_run_waits_and_says_for_how_long(store):
    await submit(store, delay_ms=3_600_000)

    assert await store.claim(["embed"], 1) == []
    assert 3500 < await store.next_in(["embed"]) <= 3600


async def test_a_short_delay_ends(store):
    late = await submit(store, delay_ms=100)

    async with asyncio.timeout(20):
        while not (claimed := await store.claim(["embed"], 1)):
            await asyncio.sleep(0.02)
    assert [run.id for run in claimed] == [late.id]


async def test_a_delayed_run_of_a_high_priority_keeps_nobody_waiting(store):
    await submit(store, delay_ms=3_600_000, priority=9)
    ready = await submit(store)

    assert (await claim_one(store)).id == ready.id


async def test_only_the_jobs_that_were_asked_for_are_claimed(store):
    await submit(store, "other")

    assert await store.claim(["embed", "third"], 5) == []
    assert await store.claim([], 5) == []
    assert await store.next_in(["embed"]) is None
    assert await store.next_in(["embed", "other"]) <= 0


async def test_a_claimed_run_is_running_for_its_worker(store):
    await submit(store)

    run = await claim_one(store)

    assert (run.status, run.attempt, run.worker) == (Status.RUNNING, 1, store.worker)
    assert run.started_at >= run.created_at
    assert await store.mine() == {(run.id, 1): False}
    assert await store.claim(["embed"], 1) == []


async def test_workers_that_claim_at_once_never_get_the_same_run(new_store):
    stores = [await new_store() for _ in range(4)]
    await asyncio.gather(*(submit(stores[0]) for _ in range(100)))

    async def take_all(store: Store) -> list[str]:
        taken = []
        while runs := await store.claim(["embed"], 7):
            assert len(runs) <= 7
            taken += [run.id for run in runs]
        return taken

    taken = [run for some in await asyncio.gather(*map(take_all, stores)) for run in some]

    # A run that another was just claiming is passed over, and somebody else's next look finds it.
    taken += await take_all(stores[0])
    assert len(taken) == len(set(taken)) == 100


async def test_one_key_is_one_run_however_many_submit_it_at_once(new_store):
    stores = [await new_store() for _ in range(5)]
    new = NewRun(job="embed", arguments='{"a":1,"b":2}', key="order-1")

    answers = await asyncio.gather(*(stores[n % 5].insert(new) for n in range(50)))

    assert len({run.id for run, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    assert len(await stores[0].runs()) == 1


async def test_a_key_does_not_mind_the_order_of_arguments(store):
    first, _ = await store.insert(NewRun(job="embed", arguments='{"a":1,"b":2}', key="k"))
    second, is_new = await store.insert(NewRun(job="embed", arguments='{"b":2,"a":1}', key="k"))

    assert (second.id, is_new) == (first.id, False)


async def test_a_key_with_other_arguments_is_a_conflict(store):
    first, _ = await store.insert(NewRun(job="embed", arguments='{"a":1}', key="k"))

    with pytest.raises(KeyConflict, match=f"'k' belongs to run {first.id}"):
        await store.insert(NewRun(job="embed", arguments='{"a":2}', key="k"))


async def test_a_key_belongs_to_its_job(store):
    first = await submit(store, "one", key="k")
    second = await submit(store, "two", key="k")

    assert first.id != second.id


async def test_a_run_that_succeeded_has_its_result(store):
    await submit(store)
    run = await claim_one(store)

    ended = await store.finish(run, DONE)

    assert ended == await store.get(run.id)
    assert (ended.status, ended.result, ended.error, ended.worker) == (
        Status.SUCCEEDED,
        '{"a":1}',
        None,
        None,
    )
    assert ended.finished_at >= ended.started_at
    assert ended.is_final
    assert await store.mine() == {}


async def test_many_runs_end_at_once_and_each_gets_its_own_result(store):
    await asyncio.gather(*(submit(store) for _ in range(200)))
    runs = await store.claim(["embed"], 200)

    ended = await asyncio.gather(
        *(store.finish(run, Ending(status=Status.SUCCEEDED, result=f'"{run.id}"')) for run in runs)
    )

    assert [one.id for one in ended] == [run.id for run in runs]
    assert all(one.result == f'"{one.id}"' for one in ended)


async def test_a_failed_attempt_is_tried_again_later_and_remembered(store):
    await submit(store)
    first = await claim_one(store)
    waiting = await store.finish(first, failed(first, "first\nlines", delay_ms=3_600_000))

    assert (waiting.status, waiting.error, waiting.finished_at) == (Status.QUEUED, "first\nlines", None)
    assert [(one.number, one.error) for one in waiting.history] == [(1, "first\nlines")]
    assert 3500 < await store.next_in(["embed"]) <= 3600


async def test_the_last_attempt_leaves_the_run_failed(store):
    await submit(store)
    first = await claim_one(store)
    await store.finish(first, failed(first))
    second = await claim_one(store)

    ended = await store.finish(second, failed(second, "worse", again=False))

    assert (ended.status, ended.error, ended.attempt) == (Status.FAILED, "worse", 2)
    assert [(one.number, one.error) for one in ended.history] == [(1, "boom"), (2, "worse")]


async def test_an_error_that_is_no_proper_text_is_kept_as_far_as_it_is(store):
    await submit(store)
    run = await claim_one(store)
    await store.progress(run, 0.5, "half\0way \ud800")
    assert (await store.get(run.id)).note == "half\N{REPLACEMENT CHARACTER}way ?"

    ended = await store.finish(run, failed(run, "odd\0error \udfff", again=False))

    assert ended.error == "odd\N{REPLACEMENT CHARACTER}error ?"
    assert ended.history[0].error == "odd\0error \udfff"


async def test_a_refunded_attempt_does_not_count(store):
    await submit(store, max_attempts=1)
    first = await claim_one(store)

    back = await store.finish(first, Ending(status=Status.QUEUED, refund=True))

    assert (back.status, back.attempt) == (Status.QUEUED, 0)
    again = await claim_one(store)
    assert again.attempt == 1


async def test_who_lost_its_run_writes_nothing(new_store):
    zombie, heir = await new_store(), await new_store()
    await submit(zombie)
    lost = await claim_one(zombie)
    await zombie.finish(lost, failed(lost))
    taken = await claim_one(heir)

    assert await zombie.finish(lost, DONE) is None
    assert await zombie.progress(lost, 0.5, None) is True
    assert await heir.get(taken.id) == taken


async def test_an_attempt_of_the_same_worker_that_is_over_writes_nothing(store):
    await submit(store)
    first = await claim_one(store)
    await store.finish(first, failed(first))
    second = await claim_one(store)

    assert await store.finish(first, DONE) is None
    assert (await store.finish(second, DONE)).attempt == 2


async def test_a_finish_counts_once(store):
    await submit(store)
    run = await claim_one(store)

    answers = await asyncio.gather(*(store.finish(run, DONE) for _ in range(5)))

    assert [answer is None for answer in answers].count(False) == 1


async def test_nothing_is_recovered_from_workers_that_live(new_store):
    store, other = await new_store(), await new_store()
    await submit(store)
    run = await claim_one(store)

    assert await other.recover() == []
    assert (await other.get(run.id)).status is Status.RUNNING


async def test_a_queued_run_is_cancelled_at_once(store):
    run = await submit(store)

    cancelled = await store.cancel(run.id)

    assert (cancelled.status, cancelled.cancel) == (Status.CANCELLED, True)
    assert cancelled.finished_at >= cancelled.created_at
    assert await store.claim(["embed"], 1) == []
    assert await store.cancel(run.id) is None


async def test_a_running_run_is_asked_to_end(store):
    await submit(store)
    run = await claim_one(store)

    asked = await store.cancel(run.id)

    assert (asked.status, asked.cancel, asked.finished_at) == (Status.RUNNING, True, None)
    assert await store.mine() == {(run.id, 1): True}
    assert await store.progress(run, 0.1, None) is True
    ended = await store.finish(run, Ending(status=Status.CANCELLED, error="cancelled"))
    assert ended.status is Status.CANCELLED


async def test_a_run_that_was_to_end_is_not_tried_again(store):
    await submit(store)
    run = await claim_one(store)
    await store.cancel(run.id)

    ended = await store.finish(run, failed(run))

    assert ended.status is Status.CANCELLED
    assert ended.finished_at is not None


async def test_a_run_that_succeeds_before_it_hears_of_its_end_has_succeeded(store):
    await submit(store)
    run = await claim_one(store)
    await store.cancel(run.id)

    assert (await store.finish(run, DONE)).status is Status.SUCCEEDED


async def test_an_ended_run_cannot_be_cancelled(store):
    await submit(store)
    run = await claim_one(store)
    await store.finish(run, DONE)

    assert await store.cancel(run.id) is None
    assert (await store.get(run.id)).cancel is False


async def test_a_failed_run_can_be_retried_with_new_attempts(store):
    await submit(store, max_attempts=1)
    first = await claim_one(store)
    await store.finish(first, failed(first, again=False))

    again = await store.retry(first.id, 2)

    assert (again.status, again.attempt, again.max_attempts, again.finished_at) == (Status.QUEUED, 1, 3, None)
    assert [one.error for one in again.history] == ["boom"]
    assert (await claim_one(store)).attempt == 2


async def test_a_cancelled_run_can_be_retried_and_is_no_longer_asked_to_end(store):
    run = await submit(store)
    await store.cancel(run.id)

    assert (await store.retry(run.id, 1)).cancel is False
    assert (await claim_one(store)).id == run.id


async def test_only_what_failed_or_was_cancelled_can_be_retried(store):
    queued = await submit(store)
    assert await store.retry(queued.id, 1) is None
    running = await claim_one(store)
    assert await store.retry(running.id, 1) is None
    await store.finish(running, DONE)
    assert await store.retry(running.id, 1) is None


async def test_progress_is_kept_until_the_next_attempt(store):
    await submit(store)
    run = await claim_one(store)

    assert await store.progress(run, 0.4, "embedding") is False

    noted = await store.get(run.id)
    assert (noted.progress, noted.note) == (0.4, "embedding")
    await store.finish(run, failed(run))
    again = await claim_one(store)
    assert (again.progress, again.note) == (None, None)


async def test_events_are_numbered_in_their_order_and_read_from_any_place(store):
    run, other = await submit(store), await submit(store)
    await store.add_events([(run.id, "log", f'"{n}"') for n in range(3)])
    await store.add_events([(other.id, "log", '"x"'), (run.id, "progress", "{}")])

    events = await store.events(run.id)

    assert [(event.kind, event.data) for event in events] == [
        ("log", '"0"'), ("log", '"1"'), ("log", '"2"'), ("progress", "{}"),
    ]  # fmt: skip
    assert [event.number for event in events] == sorted({event.number for event in events})
    assert await store.events(run.id, after=events[1].number) == events[2:]
    assert await store.events(run.id, count=2) == events[:2]
    assert events[0].at > 1_700_000_000_000


async def test_who_follows_events_misses_none_of_several_writers(new_store):
    writers = [await new_store() for _ in range(3)]
    reader = await new_store()
    run = await submit(reader)

    async def write(store: Store) -> None:
        for _ in range(20):
            await store.add_events([(run.id, "log", '"a"'), (run.id, "log", '"b"')])

    writing = asyncio.gather(*map(write, writers))
    seen: list[int] = []
    async with asyncio.timeout(60):
        while len(seen) < 120:
            seen += [event.number for event in await reader.events(run.id, after=seen[-1] if seen else 0)]
            assert (
                len(seen) == 120 or not writing.done() or len(await reader.events(run.id, count=500)) == 120
            )
    await writing
    assert len(set(seen)) == 120


async def test_runs_are_listed_newest_first_in_pages(store):
    ids = [(await submit(store, job)).id for job in ("a", "b", "a", "b", "a")]
    await store.claim(["b"], 1)

    assert [run.id for run in await store.runs()] == ids[::-1]
    assert [run.id for run in await store.runs("a")] == [ids[4], ids[2], ids[0]]
    assert [run.id for run in await store.runs("a", count=2)] == [ids[4], ids[2]]
    assert [run.id for run in await store.runs("a", before=ids[2])] == [ids[0]]
    assert [run.id for run in await store.runs(before=ids[1])] == [ids[0]]
    assert [run.id for run in await store.runs(status=Status.RUNNING)] == [ids[1]]
    assert [run.id for run in await store.runs("b", Status.QUEUED)] == [ids[3]]
    assert await store.runs("c") == []


async def test_waiting_runs_are_counted_for_each_job(store):
    for job in ("a", "a", "a", "b"):
        await submit(store, job)
    (run,) = await store.claim(["b"], 1)
    await store.claim(["a"], 1)
    await store.finish(run, DONE)

    assert await store.waiting() == {("a", Status.QUEUED): 2, ("a", Status.RUNNING): 1}


async def test_old_runs_are_removed_with_their_events_and_others_stay(store):
    await asyncio.gather(*(submit(store) for _ in range(1100)))
    runs = await store.claim(["embed"], 1099)
    await asyncio.gather(*(store.finish(run, DONE) for run in runs[:1098]))
    await store.add_events([(runs[0].id, "log", '"gone"'), (runs[1098].id, "log", '"stays"')])
    await asyncio.sleep(0.01)

    assert await store.purge(3600) == 0
    assert await store.purge(0) == 1098

    assert sorted(run.status for run in await store.runs()) == [Status.QUEUED, Status.RUNNING]
    assert await store.events(runs[0].id) == []
    assert len(await store.events(runs[1098].id)) == 1


async def test_a_purge_can_be_for_one_job(store):
    for job in ("a", "b"):
        await submit(store, job)
        await store.finish(await claim_one(store, job), DONE)
    await asyncio.sleep(0.01)

    assert await store.purge(0, "a") == 1
    assert [run.job for run in await store.runs()] == ["b"]


async def test_a_key_is_free_again_after_the_purge(store):
    first = await submit(store, key="k")
    await store.finish(await claim_one(store), DONE)
    await asyncio.sleep(0.01)
    await store.purge(0)

    assert (await submit(store, key="k")).id != first.id


async def test_processes_that_purge_at_once_remove_each_run_once(new_store):
    stores = [await new_store() for _ in range(3)]
    await asyncio.gather(*(submit(stores[0]) for _ in range(1500)))
    runs = await stores[0].claim(["embed"], 1500)
    await asyncio.gather(*(stores[0].finish(run, DONE) for run in runs))
    await asyncio.sleep(0.01)

    counts = await asyncio.gather(*(store.purge(0) for store in stores))

    assert sum(counts) + await stores[0].purge(0) == 1500
    assert await stores[0].runs() == []


async def test_others_hear_of_a_change(new_store):
    store, other = await new_store(), await new_store()
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.2)
    other.database.changed = lambda: loop.call_soon_threadsafe(heard.set)

    async with asyncio.timeout(20):
        while not heard.is_set():
            await submit(store)
            await asyncio.sleep(0.1)
