"""Tasks that startup hooks leave behind."""

# ruff: noqa: RUF006 - tasks that nobody holds are what is tested

import asyncio
import gc

import pytest

from chutes.testing import AsyncTestClient, TestClient, async_wait_until, wait_until
from support.serving import new_chute


@pytest.fixture
def chute():
    return new_chute()


async def test_a_task_that_nobody_holds_is_kept(chute):
    @chute.on_startup()
    async def start(self):
        self.ticks = 0

        async def tick():
            while True:
                await asyncio.sleep(0.001)
                self.ticks += 1

        asyncio.create_task(tick())

    async with AsyncTestClient(chute):
        gc.collect()
        seen = chute.ticks
        await async_wait_until(lambda: chute.ticks > seen)


def test_tasks_are_cancelled_after_the_shutdown_hooks(chute):
    events = []

    @chute.on_startup()
    async def start(self):
        async def work():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                events.append("cancelled")
                raise

        asyncio.create_task(work())

    @chute.on_shutdown()
    async def stop(self):
        events.append("hook")

    with TestClient(chute):
        pass
    assert events == ["hook", "cancelled"]


def test_a_task_that_crashes_is_logged_and_makes_health_unhealthy_with_its_name(chute, caplog):
    @chute.on_startup()
    async def start(self):
        self.crash = asyncio.Event()

        async def process_batches():
            await self.crash.wait()
            raise ValueError("secret")

        asyncio.create_task(process_batches())

    @chute.cord("/crash")
    async def crash(self):
        self.crash.set()

    with TestClient(chute) as client:
        assert client.get("/health").status_code == 200
        client.post("/crash")
        wait_until(lambda: client.get("/health").status_code == 503)
        body = client.get("/health").json()
        assert client.get("/readyz").status_code == 200
    assert (body["status"], body["crashed_tasks"]) == ("unhealthy", ["process_batches"])
    assert "secret" not in str(body)
    assert "The background task 'process_batches' crashed" in caplog.text
    assert "ValueError: secret" in caplog.text


def test_a_task_that_crashes_while_hooks_still_run_counts_too(chute, caplog):
    @chute.on_startup()
    async def start(self):
        async def process_batches():
            raise ValueError("early")

        asyncio.create_task(process_batches())

    @chute.on_startup()
    async def slow(self):
        await asyncio.sleep(0.01)

    with TestClient(chute) as client:
        response = client.get("/health")
    assert (response.status_code, response.json()["crashed_tasks"]) == (503, ["process_batches"])
    assert "ValueError: early" in caplog.text


def test_tasks_whose_end_the_hook_itself_has_seen_are_its_own_business(chute):
    async def fail():
        raise ValueError("handled")

    async def work():
        await asyncio.sleep(0)

    @chute.on_startup()
    async def start(self):
        await asyncio.gather(work(), fail(), return_exceptions=True)
        task = asyncio.create_task(fail())
        with pytest.raises(ValueError, match="handled"):
            await task
        async with asyncio.TaskGroup() as group:
            group.create_task(work())

    with TestClient(chute) as client:
        assert client.get("/health").status_code == 200


def test_a_task_that_ends_or_is_cancelled_by_the_user_is_no_crash(chute):
    @chute.on_startup()
    async def start(self):
        async def work():
            await asyncio.sleep(60)

        self.task = asyncio.create_task(work())
        asyncio.create_task(asyncio.sleep(0))

    @chute.cord("/cancel")
    async def cancel(self):
        self.task.cancel()

    with TestClient(chute) as client:
        client.post("/cancel")
        wait_until(chute.task.done)
        assert client.get("/health").status_code == 200


def test_a_crash_is_forgotten_with_the_next_start(chute):
    chute.failing = True

    @chute.on_startup()
    async def start(self):
        async def work():
            await asyncio.sleep(0)
            if self.failing:
                raise ValueError("x")

        asyncio.create_task(work())

    with TestClient(chute) as client:
        wait_until(lambda: client.get("/health").status_code == 503)
    chute.failing = False
    with TestClient(chute) as client:
        assert client.get("/health").status_code == 200


async def test_the_task_factory_of_the_loop_is_left_as_it_was(chute):
    chute.on_startup()(lambda self: None)
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    async with AsyncTestClient(chute):
        assert loop.get_task_factory() is before


def test_a_task_is_named_for_its_coroutine_or_by_its_author(chute):
    @chute.on_startup()
    async def start(self):
        async def work():
            raise ValueError("x")

        asyncio.create_task(work(), name="my-worker")

    with TestClient(chute) as client:
        wait_until(lambda: client.get("/health").status_code == 503)
        assert client.get("/health").json()["crashed_tasks"] == ["my-worker"]
