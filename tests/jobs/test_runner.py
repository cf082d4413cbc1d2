"""Attempts: what a run goes through from its submission to its end."""

import asyncio
import threading

import pytest

from chutes.errors import JobFailed
from chutes.jobs.attempts import RESULT_LIMIT
from chutes.jobs.run import Status
from chutes.jobs.runner import RunnerOptions
from chutes.jobs.sqlite import SQLite, wall_clock
from chutes.jobs.store import Store
from chutes.testing import async_wait_until
from support.background import Background, running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs" / "me.db"


async def test_the_result_is_what_the_function_returned(chute, path):
    @chute.job()
    async def double(self, number: int):
        assert self is chute
        return {"twice": 2 * number}

    @chute.job()
    def triple(self, number: int):
        return 3 * number, threading.current_thread().name

    async with running(chute, path) as background:
        run = await background.submit("double", number=4)
        assert await run.result(30) == {"twice": 8}
        assert (run.latest.status, run.latest.attempt, run.latest.history) == (Status.SUCCEEDED, 1, ())
        number, thread = await (await background.submit(triple, number=4)).result(30)
        assert (number, thread.startswith("chutes-job")) == (12, True)


async def test_a_failed_attempt_is_followed_by_others(chute, path):
    seen = []

    @chute.job(retry_count=2)
    async def flaky(self):
        seen.append(self.jobs.current.attempt)
        if len(seen) < 3:
            raise ValueError(f"attempt {len(seen)}")
        return "done"

    async with running(chute, path) as background:
        run = await background.submit("flaky")
        assert await run.result(30) == "done"
    assert seen == [1, 2, 3]
    assert [attempt.number for attempt in run.latest.history] == [1, 2]
    assert "ValueError: attempt 1" in run.latest.history[0].error
    assert all(one.started_at <= one.finished_at for one in run.latest.history)


async def test_an_error_shows_the_code_from_the_job_on(chute, path):
    @chute.job(retry_count=0)
    def divide(self):
        return deeper()

    def deeper():
        return 1 / 0

    async with running(chute, path) as background:
        run = await background.submit("divide")
        with pytest.raises(JobFailed):
            await run.result(30)
    error = run.latest.error
    assert error.startswith("Traceback (most recent call last):")
    assert [word in error for word in ("in divide", "in deeper", "ZeroDivisionError", "jobs/runner.py", "jobs/attempts.py")] == [
        True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("retry_count", [0, 2])
async def test_after_its_attempts_a_run_has_failed(chute, path, retry_count):
    calls = []

    @chute.job(retry_count=retry_count)
    async def bad(self):
        calls.append(1)
        raise KeyError("always")

    async with running(chute, path) as background:
        run = await background.submit("bad")
        with pytest.raises(JobFailed, match="KeyError: 'always'") as failed:
            await run.result(30)
        assert failed.value.run_id == run.id
    assert len(calls) == len(run.latest.history) == 1 + retry_count


async def test_retries_wait_at_random_up_to_a_limit_that_doubles(chute, path, monkeypatch):
    limits = []

    def uniform(low, high):
        limits.append((low, high))
        return 0.0

    monkeypatch.setattr("chutes.jobs.attempts.random.uniform", uniform)

    @chute.job(retry_count=9)
    async def bad(self):
        raise KeyError("always")

    async with running(chute, path, options=RunnerOptions()) as background:
        run = await background.submit("bad")
        await background.done(run)
    assert limits == [(0, limit) for limit in (1, 2, 4, 8, 16, 32, 60, 60, 60)]


@pytest.mark.parametrize("kind", ["async", "stubborn", "thread"])
async def test_a_timeout_ends_an_attempt(chute, path, kind, caplog):
    going = threading.Event()
    ended = []

    async def patient(self):
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(1)

    async def stubborn(self):
        while not going.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    def thread(self):
        assert going.wait(30)

    functions = {"async": patient, "stubborn": stubborn, "thread": thread}
    chute.job(name="late", timeout=0.1, retry_count=0)(functions[kind])
    async with running(chute, path) as background:
        run = await background.submit("late")
        with pytest.raises(JobFailed, match=r"timed out after 0\.1 s"):
            await run.result(30)
        if kind == "async":
            assert (ended, background.runner.running) == ([1], 0)
        else:
            # What goes on keeps its place.
            assert background.runner.running == 1
            assert "was timed out, but its code goes on" in caplog.text
        going.set()
        await async_wait_until(lambda: background.runner.running == 0)


async def test_a_timeout_of_the_functions_own_is_an_error_of_its_own(chute, path):
    @chute.job(timeout=3600, retry_count=0)
    async def own(self):
        raise TimeoutError("mine")

    async with running(chute, path) as background:
        with pytest.raises(JobFailed, match="TimeoutError: mine"):
            await (await background.submit("own")).result(30)


async def test_a_failed_run_can_be_queued_again(chute, path):
    good = []

    @chute.job(retry_count=0)
    async def depends(self):
        if not good:
            raise KeyError("not yet")
        return "now"

    async with running(chute, path) as background:
        run = await background.submit("depends")
        await background.done(run)
        good.append(1)
        assert await run.retry()
        assert await run.result(30) == "now"
        assert (run.latest.attempt, len(run.latest.history)) == (2, 1)
        assert not await run.retry()


@pytest.mark.parametrize(
    ("value", "said"),
    [(object(), "which cannot be JSON"), ("x" * RESULT_LIMIT, f"{RESULT_LIMIT} are kept")],
)
async def test_a_result_that_cannot_be_kept_fails_the_run_at_once(chute, path, value, said):
    calls = []

    @chute.job()
    async def odd(self):
        calls.append(1)
        return value

    async with running(chute, path) as background:
        with pytest.raises(JobFailed, match=said):
            await (await background.submit("odd")).result(30)
    assert calls == [1]


async def test_never_more_than_max_jobs_run_at_once(chute, path):
    now, most = 0, 0

    @chute.job()
    async def work(self):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    async with running(chute, path, options=RunnerOptions(max_jobs=3)) as background:
        runs = [await background.submit("work") for _ in range(12)]
        await asyncio.gather(*(run.result(30) for run in runs))
    assert most == 3


async def test_higher_priorities_go_first_and_a_delay_is_kept(chute, path):
    order = []

    @chute.job()
    async def work(self, name: str):
        order.append(name)

    background = Background(chute, path, options=RunnerOptions(max_jobs=1))
    runs = [
        await background.submit("work", name="late", delay=0.5, priority=9),
        await background.submit("work", name="first"),
        await background.submit("work", name="second"),
        await background.submit("work", name="urgent", priority=5),
    ]
    background.runner.start()
    await asyncio.gather(*(run.result(30) for run in runs))
    await background.runner.stop(1)
    await background.service.close()
    assert [name for name in order if name != "late"] == ["urgent", "first", "second"]
    late = runs[0].latest
    # The clock is read twice when a run is stored.
    assert late.started_at - late.created_at > 450


async def test_a_stop_lets_runs_end_and_hands_back_the_others(chute, path):
    started, order = asyncio.Event(), []

    @chute.job(retry_count=0)
    async def brief(self):
        await asyncio.sleep(0.05)
        return "brief"

    @chute.job(retry_count=0)
    async def long(self, first: bool = True):
        order.append(self.jobs.current.attempt)
        started.set()
        if len(order) == 1:
            await asyncio.sleep(3600)
        return "long"

    async with running(chute, path, grace=0.3) as background:
        quick, slow = await background.submit("brief"), await background.submit("long")
        await started.wait()
    assert (await quick.refresh()).status is Status.SUCCEEDED
    assert (await slow.refresh()).status is Status.QUEUED
    await background.service.close()
    async with running(chute, path) as background:
        assert await (await background.service.find(slow.id)).result(30) == "long"
    # The attempt that was handed back did not count.
    assert order == [1, 1]


async def test_a_database_that_answers_nothing_does_not_hold_the_end(chute, path):
    @chute.job()
    async def work(self): ...

    background = Background(chute, path)
    await background.service.open()
    asked = asyncio.Event()

    async def silent(*steps, write=True):
        asked.set()
        await asyncio.Event().wait()

    answering, background.service.store.database.run = background.service.store.database.run, silent
    background.runner.start()
    await asked.wait()
    async with asyncio.timeout(30):
        await background.runner.stop(grace=0.1)
    background.service.store.database.run = answering
    await background.service.close()


async def test_a_clock_that_is_set_back_holds_up_nothing_but_delays(chute, path):
    @chute.job()
    async def double(self, number: int):
        return 2 * number

    offset = [0]
    background = Background(chute, path)
    background.service.store = Store(SQLite(path, clock=lambda: wall_clock() + offset[0]), "worker")
    await background.service.open()
    late = await background.submit("double", delay=60, number=1)
    run = await background.submit("double", number=2)
    offset[0] = -3_600_000
    background.runner.start()

    assert await run.result(30) == 4
    assert await late.status() is Status.QUEUED
    await background.runner.stop(5)
    await background.service.close()
