"""The HTTP client on real connections, against a server that says exactly what it is told."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from chutes.bench.http_line import Endpoint, HttpLine
from chutes.bench.line import WireRequest
from support.http_servers import unused_address

GET = WireRequest(data=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate"


class Server:
    """Answers each request with the next script, the last one for ever.

    A script is bytes, or several pieces: bytes to send, or `None` to close.
    """

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.connections = 0
        self.requests = 0
        self.talks = []

    async def talk(self, reader, writer):
        self.connections += 1
        self.talks.append(asyncio.current_task())
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                script = self.scripts[min(self.requests, len(self.scripts) - 1)]
                self.requests += 1
                for piece in (script,) if isinstance(script, bytes) else script or (None,):
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def line_to(*scripts):
    server = Server(*scripts)
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    line = HttpLine(Endpoint(host="127.0.0.1", port=listener.sockets[0].getsockname()[1]))
    try:
        yield line, server
    finally:
        line.close()
        listener.close()
        await asyncio.gather(*server.talks)


async def ask(line, request=GET):
    came = asyncio.get_running_loop().create_future()
    line.send(request, came.set_result)
    return await asyncio.wait_for(came, 20)


async def answer_to(*scripts, request=GET):
    async with line_to(*scripts) as (line, _):
        return await ask(line, request)


async def test_a_connection_is_used_again():
    async with line_to(OK) as (line, server):
        answers = [await ask(line) for _ in range(5)]

    assert [(answer.status, answer.size, answer.good) for answer in answers] == [(200, 2, True)] * 5
    assert (server.connections, server.requests) == (1, 5)


async def test_a_server_that_closes_is_connected_to_anew():
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with line_to((closing, None)) as (line, server):
        answers = [await ask(line) for _ in range(3)]

    assert all(answer.good for answer in answers)
    assert server.connections == 3


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used():
    async with line_to((OK, None)) as (line, server):
        assert (await ask(line)).good
        while line._wire.usable:
            await asyncio.sleep(0.01)
        assert (await ask(line)).good

    assert server.connections == 2


@pytest.mark.parametrize("pieces", [(OK, LATE), (OK + LATE,)])
async def test_an_answer_that_nobody_asked_for_ends_the_connection(pieces):
    async with line_to(pieces, OK) as (line, server):
        answer = await ask(line)
        assert (answer.status, answer.size) == (200, 2)
        while line._wire.usable:
            await asyncio.sleep(0.01)
        assert (await ask(line)).good

    assert server.connections == 2


async def test_chunks_are_counted_and_the_first_is_timed():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await answer_to((head, b"2\r\nto\r\n", b"3\r\n be\r\n2\r\n!", b"!\r\n", b"0\r\n\r\n"))

    assert answer.good
    assert (answer.size, answer.chunks, answer.streamed) == (7, 3, True)
    assert 0 < answer.first <= answer.ended


async def test_one_json_value_is_no_stream_though_it_comes_in_chunks():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert not (await answer_to((head, b"2\r\n{}\r\n0\r\n\r\n"))).streamed


async def test_events_are_counted_and_comments_are_not():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [b"data: 1\n\n", b": hi\n\n", b"data: [2", b"]\n\ndata: 3\n\n"]
    answer = await answer_to(
        (head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n")
    )

    assert (answer.good, answer.chunks, answer.streamed) == (True, 3, True)


async def test_an_error_in_the_stream_is_no_good_answer():
    body = b'data: 1\n\nevent: error\ndata: {"detail": "out of memory"}\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = await answer_to(head + body)

    assert not answer.good
    assert (answer.status, answer.problem.kind, answer.problem.text) == (
        200,
        "error in the stream",
        "out of memory",
    )


async def test_a_refusal_keeps_its_text_and_its_retry_after():
    answer = await answer_to(
        b'HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 17\r\n\r\n{"detail":"full"}'
    )

    assert (answer.status, answer.good, answer.retry_after) == (503, False, "3")
    assert answer.body == b'{"detail":"full"}'


async def test_the_body_of_a_good_answer_is_kept_when_it_is_wanted():
    assert (await answer_to(OK)).body == b""
    assert (await answer_to(OK, request=WireRequest(data=GET.data, keep=True))).body == b"ok"


async def test_an_answer_may_end_with_its_connection():
    answer = await answer_to((b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall", b" of it", None))

    assert (answer.good, answer.size) == (True, 9)


async def test_an_answer_without_a_body_is_whole():
    async with line_to(b"HTTP/1.1 204 No Content\r\n\r\n") as (line, server):
        answers = [await ask(line), await ask(line)]

    assert [(answer.status, answer.good, answer.streamed) for answer in answers] == [(204, True, False)] * 2
    assert server.connections == 1


async def test_the_answer_to_head_has_no_body_whatever_it_says():
    head = WireRequest(data=b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", headless=True)
    async with line_to(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n") as (line, server):
        answers = [await ask(line, head) for _ in range(3)]

    assert all(answer.good for answer in answers)
    assert server.connections == 1


async def test_an_answer_before_the_answer_is_skipped():
    answer = await answer_to(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert (answer.status, answer.size) == (200, 2)


@pytest.mark.parametrize(
    ("script", "kind", "status"),
    [
        ((None,), "no answer", 0),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", None), "broke off", 200),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nto\r\n", None), "broke off", 200),
        ((b"SSH-2.0-OpenSSH\r\n",), "not HTTP", 0),
    ],
)
async def test_an_answer_that_is_not_whole_says_how(script, kind, status):
    answer = await answer_to(script)

    assert not answer.good
    assert (answer.problem.kind, answer.status) == (kind, status)


async def test_after_a_broken_answer_the_line_connects_again():
    async with line_to((b"nonsense\r\n\r\n",), OK) as (line, server):
        assert (await ask(line)).problem.kind == "not HTTP"
        assert (await ask(line)).good

    assert server.connections == 2


async def test_a_port_that_nobody_listens_on():
    with unused_address() as url:
        answer = await ask(HttpLine(Endpoint(host="127.0.0.1", port=int(url.rpartition(":")[2]))))

    assert (answer.good, answer.status, answer.problem.kind) == (False, 0, "no connection")


async def test_a_request_on_which_nothing_comes_is_given_up():
    async with line_to((b"HTTP/1.1 200 OK\r\n",)) as (line, server):
        came = asyncio.get_running_loop().create_future()
        line.send(GET, came.set_result)
        while not server.requests:
            await asyncio.sleep(0.01)
        line.expire(before=0.0)
        assert not came.done()
        line.expire(before=float("inf"))
        answer = await asyncio.wait_for(came, 20)

    assert answer.problem.kind == "timeout"


async def test_a_connection_that_is_not_made_is_given_up():
    line = HttpLine(Endpoint(host="127.0.0.1", port=1))
    came = asyncio.get_running_loop().create_future()
    line.send(GET, came.set_result)
    line.expire(before=float("inf"))

    assert (await asyncio.wait_for(came, 20)).problem.kind == "timeout"


async def test_a_closed_line_tells_nobody():
    told = []
    async with line_to((b"HTTP/1.1 200 OK\r\n",)) as (line, server):
        line.send(GET, told.append)
        while not server.requests:
            await asyncio.sleep(0.01)
        line.close()
        await asyncio.sleep(0.05)

    assert told == []
