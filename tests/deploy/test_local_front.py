"""The front: bytes both ways, over real sockets, while what runs behind it comes and goes."""

import asyncio
import json
import socket
import threading
from contextlib import asynccontextmanager

import pytest

from chutes.deploy.local.asking import front_status
from chutes.deploy.local.front import Front, FrontOptions, loop_factory
from chutes.deploy.local.machine_share import free_port

LONG = 30


async def until(condition):
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.01)


class Instance:
    """Says its name, echoes what it gets, and answers probes."""

    def __init__(self, name):
        self.name, self.is_ready, self.open = name, True, 0
        self.server, self.port = None, 0
        self.ended = []

    async def start(self, port=0):
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def answer(self, reader, writer):
        try:
            first = await reader.read(65536)
            if first.startswith(b"GET /readyz"):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if self.is_ready else b"HTTP/1.1 503 No\r\n\r\n")
                return
            self.open += 1
            writer.write(self.name.encode() + b":" + first)
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write(b"|end")
            self.ended.append("eof")
        except ConnectionError:
            self.ended.append("reset")
        finally:
            writer.close()

    def stop(self):
        self.server.close()


class Behind:
    """A front, and the file that tells it what runs."""

    def __init__(self, folder):
        self.file, self.generation, self.front = folder / "backends.json", 0, None

    def write(self, *instances, hold=LONG):
        self.generation += 1
        backends = [{"name": one.name, "port": one.port} for one in instances]
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"generation": self.generation, "hold": hold, "backends": backends}))
        new.replace(self.file)

    async def tell(self, *instances, hold=LONG):
        self.write(*instances, hold=hold)
        status = await self.status()
        assert status["generation"] == self.generation
        return status

    async def status(self):
        return await asyncio.to_thread(front_status, self.front.control)

    def listed(self, name):
        return self.front.table.backends[name]

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.front.port)

    async def ask(self, text=b"hello"):
        """Sends, half-closes, and returns all that comes."""
        reader, writer = await self.connect()
        writer.write(text)
        writer.write_eof()
        async with asyncio.timeout(LONG):
            said = await reader.read()
        writer.close()
        return said


class Thread:
    """Runs a front on a loop of its own, the kind that it has in its container."""

    def __init__(self, options):
        self.options, self.front, self.loop = options, None, None
        self.stopping, self.is_up = None, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self.serve())

    async def serve(self):
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        async with Front(self.options) as self.front:
            self.is_up.set()
            await self.stopping.wait()

    async def __aenter__(self):
        self.thread.start()
        assert await asyncio.to_thread(self.is_up.wait, LONG)
        return self.front

    async def __aexit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopping.set)
        await asyncio.to_thread(self.thread.join)


@asynccontextmanager
async def behind(folder, *instances, hold=LONG):
    made = Behind(folder)
    made.write(*instances, hold=hold)
    thread = Thread(FrontOptions(host="127.0.0.1", port=0, control=0, file=made.file))
    async with thread as front:
        made.front, made.loop = front, thread.loop
        yield made


@pytest.fixture
async def one():
    instance = await Instance("one").start(free_port(()))
    yield instance
    instance.stop()


@pytest.fixture
async def two():
    instance = await Instance("two").start(free_port(()))
    yield instance
    instance.stop()


async def test_bytes_and_ends_go_both_ways(tmp_path, one):
    async with behind(tmp_path, one) as front:
        assert await front.ask() == b"one:hello|end"


async def test_a_client_that_has_sent_everything_still_gets_the_answer_after_a_wait(tmp_path, one):
    one.is_ready = False
    async with behind(tmp_path, one) as front:
        answer = asyncio.create_task(front.ask())
        await until(lambda: front.front.status()["held"] == 1)
        one.is_ready = True
        assert await answer == b"one:hello|end"


async def test_a_large_body_and_a_slow_reader_hold_the_sender_back(tmp_path):
    sent = 0

    async def flood(reader, writer):
        nonlocal sent
        if (await reader.read(65536)).startswith(b"GET /readyz"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            for _ in range(1000):
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    flooding = Instance("flood")
    flooding.server, flooding.port = server, server.sockets[0].getsockname()[1]
    async with behind(tmp_path, flooding) as front:
        reader, writer = await front.connect()
        writer.write(b"go")
        before = -1
        while sent != before or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 1000 * 65536
        async with asyncio.timeout(LONG):
            received = len(await reader.read())
        assert received == 1000 * 65536
        writer.close()
    server.close()


async def test_a_switch_leaves_open_connections_where_they_are(tmp_path, one, two):
    async with behind(tmp_path, one) as front:
        reader, writer = await front.connect()
        writer.write(b"a")
        assert await reader.readexactly(5) == b"one:a"
        status = await front.tell(two)
        assert {entry["name"]: (entry["open"], entry["listed"]) for entry in status["backends"]} == {
            "one": (1, False),
            "two": (0, True),
        }
        assert await front.ask(b"b") == b"two:b|end"
        writer.write(b"c")
        assert await reader.readexactly(1) == b"c"
        writer.write_eof()
        assert await reader.read() == b"|end"
        writer.close()
        await until(lambda: "one" not in front.front.table.backends)


async def test_a_new_connection_goes_where_the_fewest_are(tmp_path, one, two):
    async with behind(tmp_path, one, two) as front:
        await until(lambda: front.listed("one").ready and front.listed("two").ready)
        writers = []
        for _ in range(4):
            reader, writer = await front.connect()
            writer.write(b"x")
            await reader.read(5)
            writers.append(writer)
        assert (one.open, two.open) == (2, 2)
        for writer in writers:
            writer.close()


async def test_connections_wait_while_nothing_accepts(tmp_path, one):
    port = one.port
    async with behind(tmp_path, one) as front:
        assert await front.ask()
        one.stop()
        answers = [asyncio.create_task(front.ask()) for _ in range(5)]
        await until(lambda: front.front.status()["held"] == 5)
        again = await Instance("again").start(port)
        assert await asyncio.gather(*answers) == [b"again:hello|end"] * 5
        again.stop()


async def test_an_instance_that_is_dead_or_not_ready_gets_nothing_while_another_is(tmp_path, one, two):
    async with behind(tmp_path, one, two) as front:
        await until(lambda: front.listed("one").ready and front.listed("two").ready)
        one.stop()
        assert [await front.ask() for _ in range(4)].count(b"two:hello|end") == 4
        two_only = two.open
        assert two_only == 4


async def test_what_is_not_ready_after_the_wait_says_so_itself(tmp_path, one):
    one.is_ready = False
    async with behind(tmp_path, one, hold=0.2) as front:
        assert await front.ask() == b"one:hello|end"


async def test_a_chute_that_does_not_run_is_refused_in_the_words_of_http(tmp_path, one):
    async with behind(tmp_path) as front:
        said = await front.ask(b"GET / HTTP/1.1\r\n\r\n")
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in head
        assert json.loads(body) == {"detail": "The chute does not run: it was scaled to 0."}
        one.stop()
        await front.tell(one, hold=0.1)
        assert b'"The chute is starting."' in await front.ask(b"GET / HTTP/1.1\r\n\r\n")


async def test_a_reset_by_the_client_ends_the_connection_to_the_instance(tmp_path, one):
    async with behind(tmp_path, one) as front:
        reader, writer = await front.connect()
        writer.write(b"x")
        await reader.read(5)
        writer.transport.abort()
        await until(lambda: one.ended)
        await until(lambda: front.listed("one").open == 0)


async def test_a_broken_file_changes_nothing(tmp_path, one):
    async with behind(tmp_path, one) as front:
        front.file.write_text("{")
        assert (await front.status())["generation"] == 1
        assert await front.ask() == b"one:hello|end"


async def test_a_front_that_drains_finishes_what_is_open_and_the_next_one_has_the_port(tmp_path, one, two):
    async with behind(tmp_path, one) as front:
        reader, writer = await front.connect()
        writer.write(b"a")
        assert await reader.readexactly(5) == b"one:a"
        options = FrontOptions(host="127.0.0.1", port=front.front.port, control=0, file=front.file)
        async with Thread(options) as after:
            draining = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(front.front.drain(), front.loop))
            await until(lambda: not front.front._listening.is_serving())
            assert [await front.ask() for _ in range(8)] == [b"one:hello|end"] * 8
            assert not draining.done()
            writer.write_eof()
            assert await reader.read() == b"|end"
            writer.close()
            await draining
            assert after.port == front.front.port


def test_nobody_answers_for_a_front_that_is_not_there():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert front_status(bound.getsockname()[1]) is None
