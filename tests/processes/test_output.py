"""Bytes of output become lines of bounded length."""

import asyncio
import re

import pytest

from chutes.processes.output import Output


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def output(lines) -> Output:
    return Output(lines.append)


def test_a_line_may_come_in_pieces(output, lines):
    for piece in (b"he", b"llo\nwor", b"ld\n"):
        output.feed(piece)
    assert lines == ["hello", "world"]


def test_each_drawing_of_a_progress_bar_is_a_line(output, lines):
    output.feed(b"\r 10%\r 20%\r\n")
    output.feed(b"done\r")
    output.feed(b"\nend\n")
    assert lines == [" 10%", " 20%", "done", "end"]


def test_what_has_no_line_end_comes_at_the_close(output, lines):
    output.feed(b"prompt> ")
    assert lines == []
    output.close()
    assert lines == ["prompt> "]


def test_bytes_that_are_no_text_are_replaced(output, lines):
    output.feed(b"caf\xe9 \xc3\xa9\n")
    assert lines == ["caf\ufffd é"]


@pytest.mark.parametrize("step", [100, 8192, 1_000_000])
def test_a_long_line_comes_in_bounded_pieces(output, lines, step):
    data = b"x" * 100_000 + b"\n"
    for start in range(0, len(data), step):
        output.feed(data[start : start + step])
    assert "".join(lines) == "x" * 100_000
    assert max(map(len, lines)) <= 8192


def test_the_tail_holds_the_newest_lines(output):
    output.feed(b"".join(b"%d\n" % n for n in range(1000)))
    assert output.tail(2) == ("998", "999")
    assert output.tail(0) == ()
    assert len(output.tail(10_000)) == 200


def test_a_reader_that_fails_gets_the_next_line_all_the_same(caplog):
    seen = []

    def reader(line):
        seen.append(line)
        raise KeyError(line)

    Output(reader).feed(b"a\nb\n")
    assert seen == ["a", "b"]
    assert [record.exc_info[0] for record in caplog.records] == [KeyError, KeyError]


async def test_a_line_that_came_before_is_seen(output):
    output.feed(b"listening on 80\n")
    assert await output.seen(re.compile(r"on \d+")) == "listening on 80"


async def test_a_line_that_comes_later_is_seen_by_all_who_wait(output):
    waiting = [asyncio.create_task(output.seen(re.compile("ready"))) for _ in range(2)]
    await asyncio.sleep(0)
    output.feed(b"not yet\nnow ready\nready again\n")
    assert await asyncio.gather(*waiting) == ["now ready"] * 2
