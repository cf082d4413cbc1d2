"""Requests are answered while the real server cannot."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chutes.serve.holding import HeldAnswer, Holding, held_json, starting_answer
from chutes.serve.listener import bind


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with bind("127.0.0.1", 0) as listener:
        yield listener


def exchange(listener: socket.socket, request: bytes) -> bytes:
    """Sends the bytes and returns all that comes until the server closes."""
    with socket.create_connection(listener.getsockname(), timeout=20) as client:
        client.sendall(request)
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


def request(
    listener: socket.socket,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[http.client.HTTPResponse, bytes]:
    client = http.client.HTTPConnection(*listener.getsockname(), timeout=20)
    client.request(method, path, body, headers or {}, encode_chunked=isinstance(body, Iterator))
    response = client.getresponse()
    content = response.read()
    client.close()
    return response, content


def echo(method: str, path: str) -> HeldAnswer:
    return held_json(200, {"method": method, "path": path})


def test_it_answers_while_a_startup_hook_blocks_the_event_loop(listener):
    async def hook() -> tuple[float, float]:
        begin = time.monotonic()
        time.sleep(1.5)
        return begin, time.monotonic()

    def ask(path: str) -> tuple[int, float]:
        time.sleep(0.3)
        return request(listener, "GET", path)[0].status, time.monotonic()

    with ThreadPoolExecutor() as clients, Holding(listener, starting_answer):
        answers = [clients.submit(ask, path) for path in ("/livez", "/readyz", "/generate")]
        begin, end = asyncio.run(hook())
        assert [answer.result()[0] for answer in answers] == [200, 503, 503]
        assert all(begin < answer.result()[1] < end for answer in answers)


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        ("/livez", 200, {"status": "alive"}),
        ("/readyz", 503, {"status": "starting", "detail": "The chute is starting."}),
        ("/health", 503, {"status": "starting", "detail": "The chute is starting."}),
        ("/generate", 503, {"detail": "The chute is starting."}),
    ],
)
def test_a_starting_chute_lives_and_is_not_ready(listener, path, status, content):
    with Holding(listener, starting_answer):
        response, body = request(listener, "GET", path)
    assert (response.status, json.loads(body)) == (status, content)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Length"] == str(len(body))
    assert response.headers["Connection"] == "close"
    assert response.headers["Retry-After"] == ("1" if status == 503 else None)


@pytest.mark.parametrize(
    ("target", "path"),
    [("/a/b?c=/d", "/a/b"), ("http://x:80/livez?y", "/livez"), ("http://x", "/"), ("*", "*")],
)
def test_the_answer_is_chosen_by_method_and_path(listener, target, path):
    with Holding(listener, echo):
        answer = exchange(listener, f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"method": "OPTIONS", "path": path}


@pytest.mark.parametrize("sent", ["abc-1", "A" * 128, "a:b/c+d=e@f.g_h"])
def test_a_sane_request_id_is_kept(listener, sent):
    with Holding(listener, echo):
        response, _ = request(listener, "GET", "/", headers={"x-request-id": sent})
    assert response.headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "A" * 129, "ä", "a\tb"])
def test_any_other_request_id_is_replaced(listener, sent):
    with Holding(listener, echo):
        response, _ = request(listener, "GET", "/", headers={"X-Request-ID": sent})
    assert len(response.headers["X-Request-ID"]) == 32


def test_head_gets_the_header_alone(listener):
    with Holding(listener, starting_answer):
        answer = exchange(listener, b"HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 19\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_uploads_sees_the_answer(listener, chunked):
    body = (b"x" * 65536 for _ in range(320)) if chunked else b"x" * 20_971_520
    with Holding(listener, starting_answer):
        response, _ = request(listener, "POST", "/generate", body)
    assert response.status == 503


def test_a_client_that_waits_for_100_continue_gets_the_final_answer(listener):
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with (
        Holding(listener, starting_answer),
        socket.create_connection(listener.getsockname(), timeout=20) as client,
    ):
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nspace : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: a\x00b\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_a_400(listener, sent):
    with Holding(listener, echo):
        assert exchange(listener, sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000, b"GET /" + b"x" * 100_000])
def test_a_head_that_is_too_long_gets_a_431(listener, sent):
    with Holding(listener, echo):
        assert exchange(listener, sent).startswith(b"HTTP/1.1 431 ")


def test_clients_that_are_silent_or_slow_hold_nobody_up(listener):
    with Holding(listener, echo):
        clients = [socket.create_connection(listener.getsockname(), timeout=20) for _ in range(100)]
        for client in clients[:50]:
            client.sendall(b"GET / HT")
        begin = time.monotonic()
        assert request(listener, "GET", "/")[0].status == 200
        assert time.monotonic() - begin < 2
        for client in clients:
            client.close()
        assert request(listener, "GET", "/")[0].status == 200


def test_a_request_that_does_not_arrive_gets_a_408(listener, monkeypatch):
    monkeypatch.setattr("chutes.serve.holding._HEAD_SECONDS", 0.2)
    with Holding(listener, echo):
        assert exchange(listener, b"GET / HTTP/1.1\r\n").startswith(b"HTTP/1.1 408 ")


def test_the_end_does_not_wait_for_silent_clients_for_long(listener):
    holding = Holding(listener, echo)
    holding.start()
    with socket.create_connection(listener.getsockname(), timeout=20):
        request(listener, "GET", "/")
        begin = time.monotonic()
        holding.stop()
        assert time.monotonic() - begin < 3
    assert "chutes-holding" not in [thread.name for thread in threading.enumerate()]


def test_an_answer_under_way_is_finished(listener):
    called, go = threading.Event(), threading.Event()

    def slow(method: str, path: str) -> HeldAnswer:
        called.set()
        go.wait(10)
        return echo(method, path)

    with ThreadPoolExecutor() as clients:
        holding = Holding(listener, slow)
        holding.start()
        answer = clients.submit(request, listener, "GET", "/")
        assert called.wait(10)
        ended = clients.submit(holding.stop)
        go.set()
        ended.result()
        assert answer.result()[0].status == 200


def test_connections_after_the_end_wait_for_the_next_server(listener):
    with Holding(listener, echo):
        pass
    with socket.create_connection(listener.getsockname(), timeout=20) as client:
        client.sendall(b"hello")
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(5) == b"hello"


def test_a_stopped_one_can_be_stopped_again_and_started_again(listener):
    holding = Holding(listener, echo)
    holding.stop()
    for _ in range(2):
        with holding:
            assert request(listener, "GET", "/")[0].status == 200
        holding.stop()


def test_a_closed_socket_is_refused_at_the_start():
    listener = bind("127.0.0.1", 0)
    listener.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        Holding(listener, echo).start()


def test_no_request_is_lost_when_servers_take_turns(listener):
    """Whoever connects while one server hands over to the next is answered by one of them."""
    done = threading.Event()

    def ask() -> list[int]:
        statuses = []
        while not done.is_set():
            statuses.append(request(listener, "GET", "/")[0].status)
        return statuses

    with ThreadPoolExecutor() as clients:
        answers = [clients.submit(ask) for _ in range(4)]
        try:
            for _ in range(20):
                with Holding(listener, starting_answer):
                    time.sleep(0.05)
                with Holding(listener, lambda _method, _path: HeldAnswer(status=204)):
                    time.sleep(0.05)
        finally:
            done.set()
            with Holding(listener, starting_answer):
                statuses = [status for answer in answers for status in answer.result()]
    assert {204, 503} == set(statuses)


def test_the_answer_is_asked_for_in_the_thread_that_holds(listener):
    names = []
    answer: Callable[[str, str], HeldAnswer] = lambda _m, _p: (  # noqa: E731
        names.append(threading.current_thread().name) or HeldAnswer(status=204)
    )
    with Holding(listener, answer):
        assert request(listener, "GET", "/")[0].status == 204
    assert names == ["chutes-holding"]


def test_one_client_too_many_takes_the_place_of_the_oldest(listener):
    with Holding(listener, starting_answer, most=2), contextlib.ExitStack() as idle:
        first, second = (
            idle.enter_context(socket.create_connection(listener.getsockname(), timeout=20)) for _ in range(2)
        )
        assert request(listener, "GET", "/livez")[0].status == 200
        assert first.recv(1) == b""
        second.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        assert second.recv(12) == b"HTTP/1.1 200"


def test_a_client_that_reads_nothing_of_a_long_answer_does_not_hold_up_the_end(listener):
    long_answer = HeldAnswer(status=200, body=b"x" * 32 * 1024 * 1024)
    with Holding(listener, lambda _method, _path: long_answer):
        client = socket.create_connection(listener.getsockname(), timeout=20)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    with client, contextlib.suppress(ConnectionError):
        while client.recv(1024 * 1024):
            pass
