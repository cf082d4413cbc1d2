"""Requests that are broken in every way: the server answers each as the client's mistake, and stays well."""

import asyncio
import contextlib
import itertools
import os
import re
import struct
import time
from pathlib import Path

import pytest

from support.malformed_requests import Attack, attacks, frame, handshake, request

FEW, MANY = 2_000, 10_000
AT_ONCE = 100
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
MEMORY = 80_000_000


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/sturdy.py") as chute:
        yield chute


def exchange(chute, data: bytes) -> bytes:
    """Sends bytes, and returns all that comes until the server closes."""
    with chute.connect() as connection:
        connection.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                received += chunk
    return received


def pour(chute, begin: bytes, rest: bytes) -> tuple[int, bytes]:
    """Sends the rest again and again until the server has had enough; how many bytes, and its answer."""
    sent = 0
    with chute.connect() as connection:
        try:
            for part in itertools.chain([begin], itertools.repeat(rest)):
                connection.sendall(part)
                sent += len(part)
                assert sent < 100_000_000, "It takes everything."
        except ConnectionError:
            with contextlib.suppress(ConnectionError):
                return sent, connection.recv(65536)
    return sent, b""


async def answer_to(port: int, attack: Attack) -> bytes:
    """All that comes back until the server closes, or for a moment if it may wait for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    received = b""
    patience = 0.15 if attack.unfinished else 20
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(attack.data)
        async with asyncio.timeout(patience):
            if attack.then:
                received += await reader.read(65536)
                writer.write(attack.then)
            while chunk := await reader.read(65536):
                received += chunk
                if not attack.unfinished and STATUS.match(received):
                    break
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return received


async def send_all(port: int, seed: int, count: int) -> list[tuple[Attack, bytes]]:
    """Sends each on a connection of its own, some at a time; returns what came back."""
    left = attacks(seed, count)
    results = []

    async def work() -> None:
        for attack in left:
            back = await answer_to(port, attack)
            results.append((attack, back))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return results


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def attack_and_look(chute, seeds, count):
    """Sends them, and says what became of the server."""
    await send_all(chute.port, 0, 300)
    with chute.client() as client:
        chute.wait_until(lambda: chute.gauge("running") + chute.gauge("waiting") == 0)
        tasks, files, memory = client.get("/tasks").json(), descriptors(chute.process.pid), chute.memory()
        results = []
        for seed in seeds:
            results += await send_all(chute.port, seed, count // len(seeds))
        chute.wait_until(lambda: chute.gauge("running") + chute.gauge("waiting") == 0)
        chute.wait_until(lambda: client.get("/tasks").json() <= tasks, seconds=15)
        chute.wait_until(lambda: descriptors(chute.process.pid) <= files, seconds=15)
        health = client.get("/health")
        good = client.post("/names", json={"text": "still here", "count": 2})
        metrics = client.get("/metrics").text

    assert len(results) >= count - len(seeds)
    failures = [
        (attack, back) for attack, back in results if any(int(code) >= 500 for code in STATUS.findall(back))
    ]
    assert not failures, failures[:3]
    silent = [attack for attack, back in results if not attack.unfinished and not back]
    assert not silent, silent[:3]
    assert (health.status_code, health.json()["status"]) == (200, "healthy")
    assert good.json() == {"text": "still here", "count": 2, "share": 0.5}
    assert not re.search(r'status="5\d\d"', metrics)
    assert chute.memory() - memory < MEMORY
    told = [line for line in chute.lines if line["level"] in {"error", "critical"} or "exception" in line]
    assert not told, told[:3]
    assert "Traceback" not in chute.text


async def test_malformed_requests_leave_the_server_as_it_was(chute):
    await attack_and_look(chute, seeds=[1], count=FEW)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_malformed_requests_leave_the_server_as_it_was(chute):
    await attack_and_look(chute, seeds=[2, 3, 4, 5, int.from_bytes(os.urandom(4))], count=MANY)


CHUNKED = request("/injected", Content_Length=None, Transfer_Encoding="chunked", Connection="close")
HI = b'{"text": "hi"}'


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        (b"GET / HTTP/1.1\r\nA: ", b"a" * 100_000),
        (b"GET / HTTP/1.1\r\n", b"Name: value\r\n" * 8_000),
        (b"GET /", b"a" * 100_000),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"Name: value\r\n" * 8_000),
        (CHUNKED + b"2;a=", b"a" * 100_000),
        (b"", b"\r\n" * 50_000),
        (b"", request("/names", HI) * 1_000),
    ],
    ids=["field", "fields", "target", "trailers", "extension", "empty lines", "requests without reading"],
)
def test_what_a_server_must_keep_of_a_request_is_bounded(chute, begin, rest):
    before = chute.memory()
    sent, answer = pour(chute, begin, rest)

    assert sent < 20_000_000
    assert chute.memory() - before < 20_000_000
    assert b" 500 " not in answer
    with chute.client() as client:
        assert client.post("/names", json={"text": "hi"}).status_code == 200


def test_a_head_that_is_too_long_is_told_so(chute):
    _, answer = pour(chute, b"GET / HTTP/1.1\r\nA: ", b"a" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_trailer_is_no_header(chute):
    chunks = b"e\r\n" + HI + b"\r\n0\r\nX-Number: 7\r\nX-Request-ID: from-the-trailer\r\n\r\n"
    answer = exchange(chute, CHUNKED + chunks)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"number":0' in answer
    assert b"from-the-trailer" not in answer


def test_requests_in_one_go_are_answered_in_order(chute):
    texts = [f"number {n}" for n in range(20)]
    requests = [request("/names", f'{{"text": "{text}"}}'.encode()) for text in texts]
    last = request("/query?text=last", verb="GET", Connection="close")
    answer = exchange(chute, b"".join(requests) + last)

    assert [int(code) for code in STATUS.findall(answer)] == [200] * 21
    assert re.findall(rb'"text":"(number \d+)"', answer) == [text.encode() for text in texts]
    assert answer.rstrip().endswith(b'["last",0,null]')


def test_garbage_behind_good_requests_takes_nothing_from_them(chute):
    answer = exchange(chute, request("/names", HI) * 3 + b"this is no request\r\n\r\n")

    assert [int(code) for code in STATUS.findall(answer)][:3] == [200] * 3
    assert answer.count(b'"text":"hi"') == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer_Encoding": "chunked"},
        {"Content_Length": "14\r\nContent-Length: 15"},
        {"Content_Length": "-1"},
        {"Content_Length": "1" * 40},
        {"Content_Length": None, "Transfer_Encoding": "xchunked"},
        {"Content_Length": None, "Transfer_Encoding": "chunked, identity"},
    ],
)
def test_a_request_of_two_lengths_is_refused(chute, headers):
    """Two servers in a row could disagree on where it ends."""
    answer = exchange(chute, request("/names", HI, **headers) + request("/names", HI, Connection="close"))
    assert STATUS.findall(answer) == [b"400"]


def test_an_old_client_gets_an_answer_that_it_can_read(chute):
    call = request("/stream", HI, Host=None).replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = exchange(chute, call)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("sent", [b"a" * 129, b"a b", b"<script>", b"\xff", b"a\tb", b""])
def test_a_request_id_that_is_not_sane_is_not_sent_back(chute, sent):
    answer = exchange(chute, request("/names", HI, X_Request_ID=sent, Connection="close"))
    (told,) = re.findall(rb"x-request-id: (\S+)\r\n", answer)
    assert re.fullmatch(rb"[0-9a-f]{32}", told)


@pytest.mark.parametrize(
    "target",
    [
        "/docs-assets/../../../../../../etc/passwd",
        "/docs-assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/docs-assets/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/docs-assets//etc/passwd",
        "/docs-assets/%2fetc/passwd",
        "//etc/passwd",
    ],
)
def test_no_target_leads_to_a_file_of_the_machine(chute, target):
    answer = exchange(chute, request(target, verb="GET", Connection="close"))
    assert STATUS.findall(answer) == [b"404"]
    assert b"root:" not in answer


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"hi", mask=False), 1002),
        (frame(3, b"hi"), 1002),
        (frame(1, b"hi", first=0x40), 1002),
        (frame(9, b"a" * 126), 1002),
        (frame(0, b"goes on"), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, struct.pack(">H", 1005)), 1002),
        (b"\x81\xff" + struct.pack(">Q", 2**62), 1009),
        (frame(2, b"bytes where text is wanted"), 1003),
    ],
    ids=[
        "no text",
        "no mask",
        "opcode",
        "reserved",
        "long ping",
        "no begin",
        "short",
        "code",
        "too big",
        "kind",
    ],
)
def test_a_broken_frame_closes_its_websocket_with_the_reason(chute, frames, code):
    with chute.connect() as connection:
        connection.sendall(handshake("/talk"))
        head = connection.recv(65536)
        connection.sendall(frames)
        sent = connection.recv(65536)

    assert head.startswith(b"HTTP/1.1 101 ")
    assert sent[:1] == b"\x88"
    assert struct.unpack(">H", sent[2:4])[0] == code


@pytest.mark.slow
def test_a_head_that_never_ends_is_not_waited_for(chute):
    begun = time.monotonic()
    with chute.connect() as connection:
        connection.settimeout(60)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 25 < time.monotonic() - begun < 60
