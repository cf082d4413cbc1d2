import asyncio
import contextvars
import itertools
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


async def test_an_iterator_is_read_and_closed_in_one_thread(threads):
    names = []

    def count():
        try:
            for number in itertools.count():
                names.append(threading.current_thread().name)
                yield number
        finally:
            names.append(threading.current_thread().name)
            names.append("closed")

    items = threads.iterate(count())
    assert [await anext(items), await anext(items)] == [0, 1]
    await items.aclose()
    assert names.pop() == "closed"
    assert len(set(names)) == 1
    assert names[0].startswith("probe")


async def test_an_iterator_is_read_only_a_few_items_ahead(threads):
    made = []

    def count():
        for number in range(1000):
            made.append(number)
            yield number

    items = threads.iterate(count())
    assert await anext(items) == 0
    await asyncio.sleep(0.05)
    ahead = len(made)
    assert ahead < 20
    assert [item async for item in items] == list(range(1, 1000))


async def test_large_items_are_made_one_at_a_time(threads):
    made = []

    def parts():
        for number in range(10):
            made.append(number)
            yield b"x" * 1_000_000

    items = threads.iterate(parts())
    await anext(items)
    await asyncio.sleep(0.05)
    assert len(made) <= 3
    assert sum([len(item) async for item in items]) == 9_000_000


async def test_after_it_was_closed_an_iterator_makes_no_item_more(threads):
    begun, release, made = threading.Event(), threading.Event(), []

    def count():
        for number in range(10):
            made.append(number)
            begun.set()
            release.wait(5)
            yield number

    items = threads.iterate(count())
    waiting = asyncio.create_task(anext(items))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    waiting.cancel()
    closing = asyncio.create_task(items.aclose())
    await asyncio.sleep(0.02)
    assert not closing.done()
    release.set()
    await closing
    assert made == [0]


async def test_an_iterator_that_nobody_reads_is_closed_without_an_item(threads):
    made = []
    await threads.iterate(iter(made.append, 1)).aclose()
    assert made == []


async def test_what_an_iterator_raises_comes_after_its_items(threads):
    def fails():
        yield 1
        yield 2
        raise ValueError("x")

    items = threads.iterate(fails())
    assert [await anext(items), await anext(items)] == [1, 2]
    with pytest.raises(ValueError, match="x"):
        await anext(items)


async def test_what_a_generator_raises_while_it_is_closed_is_raised(threads):
    def fails():
        try:
            yield 1
        finally:
            raise ValueError("x")

    items = threads.iterate(fails())
    await anext(items)
    with pytest.raises(ValueError, match="x"):
        await items.aclose()
    await items.aclose()


async def test_an_iterator_keeps_its_context_from_item_to_item(threads):
    variable.set("outside")

    def reads():
        yield variable.get()
        token = variable.set("inside")
        yield variable.get()
        variable.reset(token)
        yield variable.get()

    assert [item async for item in threads.iterate(reads())] == ["outside", "inside", "outside"]
    assert variable.get() == "outside"


async def test_an_iterator_without_close_is_read_to_its_end(threads):
    assert [item async for item in threads.iterate(iter([1, None, 3]))] == [1, None, 3]


async def test_after_a_shutdown_threads_are_started_anew(threads):
    assert await threads.run(int, "1") == 1
    threads.shutdown()
    threads.shutdown()
    assert await threads.run(int, "2") == 2
