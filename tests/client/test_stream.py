"""Streams: their items, their errors, and leaving them."""

import asyncio
import contextlib
import itertools

import httpx2
import pytest

from chutes.client import AsyncClient, Call, Client, items, streams, value_of
from chutes.client.decode import decoder_for
from chutes.errors import CallFailed, CallRejected, ConnectionFailed
from support.http_servers import wait_until

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Request-ID: r1\r\n\r\n"
TEXT = EVENTS.replace(b"event-stream", b"plain")


@pytest.fixture
def chute(url):
    with Client(url) as client:
        yield client


def response(content, content_type, **more):
    request = httpx2.Request("POST", "http://chute/x", headers={"X-Request-ID": "sent"})
    return httpx2.Response(
        200, content=content, headers={"Content-Type": content_type}, request=request, **more
    )


def decoded(content, content_type, size=1):
    decoder = decoder_for(response(b"", content_type))
    chunks = [content[n : n + size] for n in range(0, len(content), size)]
    return [item for chunk in [*chunks, b""] for item in decoder.feed(chunk)] + decoder.finish()


def test_events_are_their_data(chute):
    assert list(chute.stream("/tokens", prompt="hi there")) == [{"token": "hi"}, {"token": "there"}]


def test_comments_and_the_end_mark_are_no_items_and_lines_are_joined(chute):
    assert list(chute.stream("/events")) == ["a\nb"]


def test_text_comes_in_pieces_without_half_characters(chute):
    pieces = list(chute.stream("/story"))
    assert "".join(pieces) == "once grüße end"
    assert len(pieces) > 1
    assert not any("\ufffd" in piece for piece in pieces)


def test_blocks_of_bytes_stay_bytes(chute):
    assert b"".join(chute.stream("/blocks")) == b"\x00\x01\xff"


def test_json_lines_are_their_values(chute):
    assert list(chute.stream("/lines")) == [{"n": 1, "s": "a\u2028b"}, {"n": 2}, 3]


def test_one_json_value_is_one_item(chute):
    assert list(chute.stream("/embed", text="hello")) == [{"vector": [5, 0.5]}]
    assert list(chute.stream("/users/{user_id}", method="DELETE", user_id=1)) == []


def test_a_cord_is_streamed_by_name(chute):
    assert list(chute.stream("tokens", prompt="hi")) == [{"token": "hi"}]


def test_a_stream_looks_its_method_up_too(chute):
    assert list(chute.stream("/stats", limit=4)) == [{"limit": 4, "tag": "", "query": "limit=4"}]


def test_nothing_is_sent_before_the_first_item_is_asked_for(chute, remote):
    stream = chute.stream("/tokens", prompt="hi")
    assert remote.state.seen == []
    next(stream)
    assert len(remote.state.seen) == 1


def test_an_error_before_the_stream_is_an_ordinary_one(chute):
    with pytest.raises(CallRejected, match="query: Field required") as caught:
        list(chute.stream("/search", {"limit": 3, "text": 1}))
    assert caught.value.status == 422


def test_an_error_event_raises_after_the_items_before_it(chute, remote):
    stream = chute.stream("/failing")
    assert next(stream) == 1
    with pytest.raises(
        CallFailed, match=r"failed in mid-stream: Internal Server Error\. .*request id"
    ) as caught:
        next(stream)
    assert caught.value.detail == "Internal Server Error"
    assert caught.value.request_id == remote.state.seen[0]


def test_a_call_of_a_failing_stream_raises_too(chute):
    with pytest.raises(CallFailed, match="failed in mid-stream"):
        chute.call("/failing")


@pytest.mark.parametrize("head", [EVENTS, TEXT])
def test_a_stream_without_its_last_chunk_raises(scripted, head):
    server = scripted(head + b"9\r\ndata: 1\n\n\r\n")
    with Client(server.url) as chute:
        stream = chute.stream("/tokens")
        next(stream)
        with pytest.raises(CallFailed, match="broke off before the end of its answer") as caught:
            list(stream)
    assert caught.value.request_id == "r1"
    assert len(server.requests) == 1


def test_a_stream_that_stalls_raises_after_the_timeout(scripted):
    server = scripted(EVENTS + b"9\r\ndata: 1\n\n\r\n")
    server.hold_open = True
    with Client(server.url, timeout=0.05) as chute:
        stream = chute.stream("/tokens")
        assert next(stream) == 1
        with pytest.raises(ConnectionFailed, match=r"nothing came for 0\.05 s"):
            next(stream)


def test_a_stream_that_is_closed_ends_the_work_of_the_chute(chute, remote):
    with contextlib.closing(chute.stream("/endless")) as stream:
        assert list(itertools.islice(stream, 3)) == [0, 1, 2]
    wait_until(lambda: remote.state.left)


def test_a_stream_that_is_dropped_ends_the_work_of_the_chute(chute, remote):
    for item in chute.stream("/endless"):
        if item == 2:
            break
    wait_until(lambda: remote.state.left)


def test_send_gives_the_head_of_an_answer_before_its_items(chute):
    with chute.send(Call(target="/endless")) as answer:
        assert streams(answer)
        assert next(items(answer)) == 0


def test_an_answer_that_is_sent_and_not_read_is_let_go(chute, remote):
    with chute.send(Call(target="/endless")):
        pass
    wait_until(lambda: remote.state.left)


async def test_an_async_answer_that_is_sent_and_not_read_is_let_go(url, remote):
    async with AsyncClient(url) as chute:
        async with chute.send(Call(target="/endless")):
            pass
        await asyncio.to_thread(wait_until, lambda: remote.state.left)


@pytest.mark.parametrize(
    ("target", "streamed"),
    [
        ("/tokens?", True),
        ("/story", True),
        ("/blocks", True),
        ("/lines", True),
        ("/text", False),
        ("/image", False),
    ],
)
def test_which_answers_are_streams(chute, target, streamed):
    with chute.send(Call(target=target, arguments={"prompt": "x"})) as answer:
        assert streams(answer) is streamed


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_may_be_cut_anywhere_and_end_lines_in_any_way(size, end):
    text = f"data: grüße{end}{end}: ping{end}data:2{end}event: x{end}{end}id: 3{end}{end}data{end}{end}data: [1,{end}data: 2]{end}{end}"
    assert decoded(text.encode(), "text/event-stream; charset=utf-8", size) == ["grüße", 2, "", [1, 2]]


def test_an_event_without_its_closing_line_is_dropped():
    assert decoded(b"data: 1\n\ndata: 2\n", "text/event-stream") == [1]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_json_lines_may_be_cut_anywhere(size):
    assert decoded('"ü"\r\n\r\n[1]\n{"a":\u0020"\u2028"}'.encode(), "application/jsonl", size) == [
        "ü",
        [1],
        {"a": "\u2028"},
    ]


def test_a_long_line_in_many_chunks_is_put_together():
    assert decoded(b'"' + b"x" * 300_000 + b'"\n', "application/jsonl", 1000) == ["x" * 300_000]


def test_a_line_that_is_not_json_raises():
    with pytest.raises(CallFailed, match="should be JSON and is not"):
        decoded(b"1\nnope\n", "application/x-ndjson", 1000)


@pytest.mark.parametrize(
    ("data", "text", "detail"),
    [
        (
            '{"detail": [{"loc": ["body", "a"], "msg": "bad"}]}',
            "a: bad",
            [{"loc": ["body", "a"], "msg": "bad"}],
        ),
        (
            '{"error": {"message": "Out of memory."}}',
            "Out of memory",
            {"error": {"message": "Out of memory."}},
        ),
        ("it broke", "it broke", "it broke"),
        ("", "", ""),
    ],
)
def test_error_events_of_other_servers_are_readable(data, text, detail):
    with pytest.raises(CallFailed) as caught:
        decoded(f"event: error\ndata: {data}\n\n".encode(), "text/event-stream")
    assert f"failed in mid-stream: {text}. " in str(caught.value)
    assert caught.value.detail == detail


def test_text_in_another_charset_is_decoded():
    assert decoded("grüße".encode("latin-1"), "text/plain; charset=latin-1", 1000) == ["grüße"]
    assert decoded("grüße".encode(), "text/plain; charset=nonsense", 1000) == ["grüße"]
    assert decoded(b"caf\xc3", "text/plain", 1000) == ["caf", "\ufffd"]


@pytest.mark.parametrize(
    "kind", ["application/problem+json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_has_several_media_types(kind):
    assert value_of(response(b'{"a": 1}', kind)) == {"a": 1}


def test_an_answer_without_a_type_is_bytes():
    assert value_of(response(b"x", "")) == b"x"


async def test_the_async_client_streams_likewise(url, remote):
    async with AsyncClient(url) as chute:
        assert [item async for item in chute.stream("tokens", prompt="a b")] == [
            {"token": "a"},
            {"token": "b"},
        ]
        assert "".join([piece async for piece in chute.stream("/story")]) == "once grüße end"
        assert [item async for item in chute.stream("/lines")][1:] == [{"n": 2}, 3]
        with pytest.raises(CallFailed, match="failed in mid-stream"):
            _ = [item async for item in chute.stream("/failing")]
        with pytest.raises(CallRejected, match="404"):
            _ = [item async for item in chute.stream("/nowhere")]


async def test_an_async_stream_that_is_closed_ends_the_work_of_the_chute(url, remote):
    async with AsyncClient(url) as chute, contextlib.aclosing(chute.stream("/endless")) as stream:
        assert await anext(stream) == 0
    wait_until(lambda: remote.state.left)


async def test_an_async_stream_without_its_last_chunk_raises(scripted):
    server = scripted(TEXT + b"2\r\nhi\r\n")
    async with AsyncClient(server.url) as chute:
        with pytest.raises(CallFailed, match="broke off"):
            _ = [item async for item in chute.stream("/story")]
