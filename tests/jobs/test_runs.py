"""Runs from outside and from inside: cancel, look up, tell how far it is, log."""

import asyncio
import logging
import threading
import time

import pytest

from chutes.chute import Chute
from chutes.errors import JobCancelled, StoreError, UnknownJob
from chutes.jobs.run import Status
from chutes.jobs.runner import RunnerOptions
from chutes.testing import async_wait_until
from support.background import Background, running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs" / "me.db"


async def test_a_run_that_waits_is_cancelled_at_once(chute, path):
    called = []

    @chute.job()
    async def later(self):
        called.append(1)

    async with running(chute, path) as background:
        run = await background.submit("later", delay=3600)
        assert await run.cancel()
        with pytest.raises(JobCancelled):
            await run.result(30)
        assert not await run.cancel()
    assert called == []


@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize("where", ["here", "another process"])
async def test_a_run_that_runs_is_told_to_end(chute, path, kind, where):
    started = threading.Event()

    async def on_the_loop(self):
        started.set()
        await asyncio.sleep(3600)

    def in_a_thread(self):
        started.set()
        while not self.jobs.current.cancelled:
            time.sleep(0.01)
        raise InterruptedError("told to end")

    chute.job(name="long")(on_the_loop if kind == "async" else in_a_thread)
    async with running(chute, path, options=RunnerOptions(patience=5)) as background:
        run = await background.submit("long")
        await async_wait_until(started.is_set)
        if where == "here":
            assert await run.cancel()
        else:
            other = Background(chute, path, "other")
            assert await (await other.service.find(run.id)).cancel()
            await other.service.close()
        with pytest.raises(JobCancelled):
            await run.result(30)
        assert run.latest.attempt == 1


async def test_what_returns_although_it_was_told_to_end_has_succeeded(chute, path):
    started = asyncio.Event()

    @chute.job()
    async def stubborn(self):
        started.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "done after all"

    async with running(chute, path) as background:
        run = await background.submit("stubborn")
        await started.wait()
        await run.cancel()
        assert await run.result(30) == "done after all"


async def test_progress_is_kept_and_told(chute, path):
    steps = asyncio.Event()

    @chute.job()
    async def work(self):
        current = self.jobs.current
        await current.progress(0.5, "half")
        await current.progress(0.6, "left out: it comes too soon")
        await steps.wait()
        with pytest.raises(ValueError, match="It is a share from 0 to 1"):
            await current.progress(50)
        return current.id

    async with running(chute, path) as background:
        run = await background.submit("work")
        async with asyncio.timeout(30):
            while (await run.refresh()).progress != 0.5:
                await asyncio.sleep(0.005)
        assert run.latest.note == "half"
        steps.set()
        assert await run.result(30) == run.id


async def test_what_the_function_logs_is_kept_with_its_run(chute, path):
    @chute.job()
    async def chatty(self):
        self.logger.info("on the loop")
        await asyncio.to_thread(logging.getLogger("elsewhere").warning, "in a thread, %s", 1)
        self.logger.debug("too quiet")

    logging.getLogger("elsewhere").info("of no run")
    chute.logger.setLevel(logging.DEBUG)
    async with running(chute, path) as background:
        run = await background.submit("chatty")
        await run.result(30)
        events = await background.service.store.events(run.id)
    chute.logger.setLevel(logging.NOTSET)
    assert [event.data for event in events] == [
        '{"level": "info", "message": "on the loop"}',
        '{"level": "warning", "message": "in a thread, 1"}',
    ]


async def test_outside_of_a_job_there_is_no_current_run(chute, path):
    background = Background(chute, path)
    with pytest.raises(LookupError, match="only inside a job's function"):
        _ = background.service.current


async def test_a_run_is_found_by_its_id_and_its_job(chute, path):
    @chute.job()
    async def work(self): ...

    async with running(chute, path) as background:
        run = await background.submit("work")
        assert (await background.service.find(run.id, "work")).id == run.id
        for wrong in ((run.id, "other"), ("nothing", None)):
            with pytest.raises(UnknownJob):
                await background.service.find(*wrong)
        with pytest.raises(UnknownJob, match="Did you mean 'work'"):
            await background.submit("werk")


async def test_a_job_that_is_gone_leaves_its_runs_in_the_queue(chute, path):
    background = Background(chute, path)
    background.service.store.database  # noqa: B018 - not open yet

    @chute.job()
    async def old(self): ...

    run = await background.submit("old")
    await background.service.close()
    newer = Chute(username="test", name="chute", image="python:3.11")

    @newer.job()
    async def other(self):
        return "other"

    async with running(newer, path) as background:
        await (await background.submit("other")).result(30)
        assert (await background.service.find(run.id)).latest.status is Status.QUEUED


async def test_a_database_that_cannot_be_opened_is_told_and_tried_again(chute, tmp_path):
    @chute.job()
    async def work(self):
        return 1

    (tmp_path / "jobs").write_text("a file where a folder should be")
    background = Background(chute, tmp_path / "jobs" / "me.db")
    with pytest.raises(StoreError, match="cannot be used"):
        await background.submit("work")
    (tmp_path / "jobs").unlink()
    assert (await background.submit("work")).latest.status is Status.QUEUED
    await background.service.close()
