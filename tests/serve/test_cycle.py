"""Answers in fewer writes than ASGI's messages take."""

import asyncio
import logging

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from chutes.serve.cycle import Cycle
from chutes.serve.delivery import Delivery
from chutes.serve.disconnects import ClientGone
from chutes.serve.exchange import Exchange

JSON = [(b"content-length", b"2"), (b"content-type", b"application/json")]


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.writes = []
        self.closed = False

    def write(self, data):
        self.writes.append(bytes(data))

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


def cycle_on(transport, *, keep_alive=True, over=lambda: None):
    return Cycle(
        scope={"type": "http", "method": "POST", "http_version": "1.1", "path": "/run"},
        transport=transport,
        flow=FlowControl(transport),
        logger=logging.getLogger("uvicorn.error"),
        access_logger=logging.getLogger("uvicorn.access"),
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=over,
    )


@pytest.fixture
def transport():
    return Transport()


async def begin(cycle):
    await cycle.send({"type": "http.response.start", "status": 200, "headers": []})


async def test_a_whole_answer_is_one_write(transport):
    ended = []
    cycle = cycle_on(transport, over=lambda: ended.append(True))
    assert cycle.answer(200, list(JSON), b"{}")
    assert transport.writes == [
        b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
    ]
    assert (ended, cycle.response_complete, transport.closed) == ([True], True, False)
    assert await cycle.receive() == {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("keep_alive", "headers"), [(False, JSON), (True, [*JSON, (b"connection", b"close")])]
)
async def test_the_last_answer_of_a_connection_says_so_and_closes_it(transport, keep_alive, headers):
    cycle = cycle_on(transport, keep_alive=keep_alive)
    assert cycle.answer(200, list(headers), b"{}")
    assert transport.writes[0].count(b"connection: close\r\n") == 1
    assert transport.closed


async def test_an_answer_to_a_client_that_reads_slowly_waits_in_the_way_of_asgi(transport):
    cycle = cycle_on(transport)
    cycle.flow.pause_writing()
    assert not cycle.answer(200, list(JSON), b"{}")
    assert transport.writes == []


async def test_nothing_is_written_to_a_client_that_left(transport):
    cycle = cycle_on(transport)
    await begin(cycle)
    del transport.writes[:]
    assert cycle.part(b"one")
    cycle.disconnected = True
    assert cycle.part(b"two")
    await asyncio.sleep(0)
    assert cycle.answer(200, list(JSON), b"{}") is False
    assert transport.writes == []


async def test_parts_of_one_pass_of_the_loop_are_one_write_of_several_chunks(transport):
    cycle = cycle_on(transport)
    await begin(cycle)
    del transport.writes[:]
    assert all(cycle.part(part) for part in (b"one", b"two"))
    assert transport.writes == []
    await asyncio.sleep(0)
    assert cycle.part(b"three")
    await asyncio.sleep(0)
    assert transport.writes == [b"3\r\none\r\n3\r\ntwo\r\n", b"5\r\nthree\r\n"]


async def test_a_message_goes_out_behind_the_parts_that_were_held_back(transport):
    cycle = cycle_on(transport)
    await begin(cycle)
    del transport.writes[:]
    cycle.part(b"one")
    await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
    assert b"".join(transport.writes) == b"3\r\none\r\n0\r\n\r\n"


async def test_much_is_not_held_back(transport):
    cycle = cycle_on(transport)
    await begin(cycle)
    del transport.writes[:]
    cycle.part(bytes(20_000))
    assert len(b"".join(transport.writes)) > 20_000


async def test_parts_before_the_head_and_to_a_slow_client_go_the_way_of_asgi(transport):
    cycle = cycle_on(transport)
    assert not cycle.part(b"one")
    await begin(cycle)
    cycle.flow.pause_writing()
    assert not cycle.part(b"one")


async def test_what_a_stream_made_before_it_broke_is_written_before_its_connection_is_cut(transport):
    cycle = cycle_on(transport)
    exchange = Exchange("id", cycle.send)
    exchange.direct = True
    delivery = Delivery(
        exchange, exchange.track, lambda: {"type": "http.response.start", "status": 200, "headers": []}
    )
    await delivery.first(b"one")
    assert delivery.at_once(b"two")
    await delivery.stop()
    assert b"".join(transport.writes).endswith(b"3\r\none\r\n3\r\ntwo\r\n")


async def test_an_exchange_that_something_stands_before_knows_no_wire(transport):
    cycle = cycle_on(transport)

    async def send(message):
        await cycle.send(message)

    assert Exchange("id", cycle.send).wire is cycle
    assert Exchange("id", send).wire is None


def request_on(transport):
    """A cycle whose request is complete, and the exchange that knows its wire."""
    cycle = cycle_on(transport)
    cycle.more_body = False
    exchange = Exchange("id", cycle.send)
    exchange.direct = True
    return cycle, exchange


async def test_a_client_that_leaves_ends_its_call_without_a_task_that_watches(transport):
    cycle, exchange = request_on(transport)
    tasks = asyncio.all_tasks()

    async def call():
        async with exchange.watch(cycle.receive).cancelling():
            assert asyncio.all_tasks() == tasks
            cycle.disconnected = True
            cycle.tell_gone()
            await asyncio.sleep(60)

    with pytest.raises(ClientGone):
        await call()


async def test_a_client_that_left_before_its_call_began_ends_it_too(transport):
    cycle, exchange = request_on(transport)
    cycle.disconnected = True
    with pytest.raises(ClientGone):
        async with exchange.watch(cycle.receive).cancelling():
            await asyncio.sleep(60)


async def test_a_client_that_leaves_after_its_call_disturbs_nobody(transport):
    cycle, exchange = request_on(transport)
    async with exchange.watch(cycle.receive).cancelling():
        pass
    cycle.tell_gone()
    await asyncio.sleep(0)


async def test_a_request_whose_body_is_not_complete_is_read_for_the_end_of_its_connection(transport):
    cycle, exchange = request_on(transport)
    cycle.more_body = True
    assert not cycle.watch(lambda: None)

    async def call():
        async with exchange.watch(cycle.receive).cancelling():
            cycle.disconnected = True
            cycle.message_event.set()
            await asyncio.sleep(60)

    with pytest.raises(ClientGone):
        await call()


async def test_a_body_that_is_there_is_taken_without_a_wait_and_once(transport):
    cycle, _ = request_on(transport)
    cycle.body += b"{}"
    assert cycle.request() == {"type": "http.request", "body": b"{}", "more_body": False}
    later = asyncio.ensure_future(cycle.receive())
    await asyncio.sleep(0)
    assert not later.done()
    cycle.disconnected = True
    cycle.message_event.set()
    assert await later == {"type": "http.disconnect"}


@pytest.mark.parametrize("field", ["more_body", "disconnected", "waiting_for_100_continue"])
async def test_a_body_that_has_to_be_waited_for_is_received_in_the_way_of_asgi(transport, field):
    cycle, _ = request_on(transport)
    setattr(cycle, field, True)
    assert cycle.request() is None
