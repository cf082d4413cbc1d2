"""Streams that take more than their timeout."""

import asyncio
import json
import threading

import pytest
from starlette.exceptions import HTTPException

from chutes.chute.chute import definition_of
from chutes.serve.exchange import exchange_of
from chutes.serve.streaming import StreamAborted, StreamReply
from chutes.serve.threads import Threads
from chutes.testing import async_wait_until
from support.serving import new_chute


def new_meter():
    """The meter of a cord that is never called."""
    chute = new_chute()
    chute.cord("/run")(lambda self: None)
    assert chute.app
    return definition_of(chute).running.meters.of(chute.cords[0])


class Sent:
    """What one reply sends, on a connection whose client may stop reading."""

    def __init__(self, chunks, content_type, *, timeout=0.05, reads=1000):
        self.messages = []
        self.reads = reads
        self.scope = {"type": "http", "method": "POST", "path": "/run", "headers": []}
        self.meter = exchange_of(self.scope).meter = new_meter()
        self.reply = StreamReply(chunks, status_code=200)
        self.reply.become(content_type)
        self.timeout = timeout

    async def run(self):
        self.reply.deadline = asyncio.get_running_loop().time() + self.timeout
        self.reply.timeout = self.timeout
        await self.reply(self.scope, None, self._send)
        return self

    async def _send(self, message):
        if len(self.messages) >= self.reads:
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)


def counting(closed, pause=60.0):
    async def numbers():
        try:
            yield {"n": 1}
            await asyncio.sleep(pause)
            yield {"n": 2}
        finally:
            closed.append("closed")

    return numbers()


async def test_a_stream_of_events_ends_at_its_deadline_with_an_error():
    closed = []
    sent = await Sent(counting(closed), "text/event-stream").run()
    first, kind, data = sent.body.decode().split("\n\n")[0], *sent.body.decode().split("\n\n")[1].split("\n")
    assert (first, kind) == ('data: {"n":1}', "event: error")
    error = json.loads(data.removeprefix("data: "))
    assert (error["detail"], error["status"]) == ("The call took more than its timeout of 0.05 s.", 504)
    assert sent.messages[-1]["more_body"] is False
    assert (closed, sent.meter.timeouts) == (["closed"], 1)


async def test_any_other_stream_is_cut_at_its_deadline():
    sent, closed = None, []
    sent = Sent(counting(closed), "application/x-ndjson")
    with pytest.raises(StreamAborted):
        await sent.run()
    assert sent.body == b'{"n":1}\n'
    assert (closed, sent.meter.timeouts) == (["closed"], 1)


async def test_a_stream_without_a_first_chunk_by_its_deadline_is_answered_504():
    async def silent():
        await asyncio.sleep(60)
        yield "late"

    sent = Sent(silent(), "text/event-stream")
    with pytest.raises(HTTPException) as caught:
        await sent.run()
    assert (caught.value.status_code, sent.messages, sent.meter.timeouts) == (504, [], 1)


async def test_a_stream_within_its_deadline_is_whole():
    sent = await Sent(counting([], pause=0), "text/event-stream", timeout=60).run()
    assert sent.body == b'data: {"n":1}\n\ndata: {"n":2}\n\n'
    assert sent.meter.timeouts == 0


async def test_a_generator_that_swallows_its_cancellation_is_ended_all_the_same():
    made = []

    async def stubborn():
        while True:
            made.append(1)
            try:
                yield {"n": len(made)}
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                made.append("swallowed")

    sent = await Sent(stubborn(), "text/event-stream").run()
    assert b"event: error" in sent.body
    assert made == [1, "swallowed", 1]


async def test_a_timeout_of_the_generators_own_is_an_error_like_any_other():
    async def impatient():
        yield {"n": 1}
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    sent = await Sent(impatient(), "text/event-stream", timeout=60).run()
    assert b'"detail":"Internal Server Error"' in sent.body
    assert sent.meter.timeouts == 0


async def test_a_client_that_takes_nothing_keeps_no_stream_beyond_its_deadline():
    closed = []
    sent = Sent(counting(closed), "text/event-stream", reads=1)
    with pytest.raises(StreamAborted):
        await sent.run()
    await async_wait_until(lambda: closed == ["closed"])


async def test_a_thread_that_overruns_keeps_its_slot_and_not_its_client():
    threads, release, closed = Threads(1, "probe"), threading.Event(), []

    def slow():
        try:
            yield {"n": 1}
            release.wait(30)
            yield {"n": 2}
        finally:
            closed.append("closed")

    class Place:
        left = False

        def leave(self):
            self.left = True

    sent, place = Sent(threads.iterate(slow()), "text/event-stream", timeout=0.5), Place()
    exchange_of(sent.scope).place = place
    await sent.run()
    assert b"event: error" in sent.body
    assert (closed, place.left) == ([], False)
    release.set()
    await async_wait_until(lambda: place.left)
    assert closed == ["closed"]
    threads.shutdown()
