import asyncio
import contextvars
import threading

import pytest

from chutes.serve.threads import Threads

variable = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
async def threads():
    pool = Threads(2, name="probe")
    yield pool
    pool.shutdown()


async def test_a_call_runs_in_a_named_thread_with_its_arguments(threads):
    def call(first, *, second):
        return first, second, threading.current_thread().name

    first, second, name = await threads.run(call, 1, second=2)
    assert (first, second) == (1, 2)
    assert name.startswith("probe")


async def test_context_variables_reach_the_thread(threads):
    variable.set("here")
    assert await threads.run(variable.get) == "here"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), SystemExit(3)])
async def test_errors_come_back_as_they_are(threads, error):
    def call():
        raise error

    with pytest.raises(type(error)) as caught:
        await threads.run(call)
    assert caught.value is error


async def test_a_stop_iteration_becomes_a_runtime_error(threads):
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(next, iter(()))


async def test_no_more_threads_than_its_size_run_at_once(threads):
    inside, most, lock = 0, 0, threading.Lock()

    def call():
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.005)
        with lock:
            inside -= 1

    await asyncio.gather(*(threads.run(call) for _ in range(8)))
    assert most == 2


async def test_a_cancelled_wait_lasts_until_the_thread_is_done(threads):
    begun, release, done = threading.Event(), threading.Event(), []

    def call():
        begun.set()
        release.wait(5)
        done.append(1)

    task = asyncio.create_task(threads.run(call))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]


async def test_an_iterator_is_read_and_closed_in_threads(threads):
    names = []

    def count():
        try:
            for number in range(3):
                names.append(threading.current_thread().name)
                yield number
        finally:
            names.append("closed " + threading.current_thread().name)

    items = threads.iterate(count())
    assert [await anext(items), await anext(items)] == [0, 1]
    await items.aclose()
    assert len(names) == 3
    assert all("probe" in name for name in names)
    assert names[-1].startswith("closed")


async def test_an_iterator_without_close_is_read_to_its_end(threads):
    assert [item async for item in threads.iterate(iter([1, None, 3]))] == [1, None, 3]


async def test_after_a_shutdown_threads_are_started_anew(threads):
    assert await threads.run(int, "1") == 1
    threads.shutdown()
    threads.shutdown()
    assert await threads.run(int, "2") == 2
