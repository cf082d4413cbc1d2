"""The probe port: what it answers, and that no client can keep it from answering."""

import http.client
import json
import socket
from contextlib import ExitStack, contextmanager, suppress

import pytest

from chutes.serve.app import ServedChute
from chutes.serve.holding import Holding
from chutes.serve.lifecycle import State
from chutes.serve.listener import bind
from chutes.serve.probes import probe_answers
from chutes.settings import Settings
from support.serving import new_chute


@pytest.fixture
def served():
    return ServedChute(new_chute(), Settings(api_keys="open-sesame"))


@contextmanager
def probing(served, **options):
    with bind("127.0.0.1", 0) as listener, Holding(listener, probe_answers(served), **options):
        yield listener.getsockname()


def ask(address, method, path):
    client = http.client.HTTPConnection(*address, timeout=20)
    client.request(method, path)
    response = client.getresponse()
    body = response.read()
    client.close()
    return response, body


@pytest.mark.parametrize("state", list(State))
def test_the_probes_follow_the_lifecycle(served, state):
    served.lifecycle.state = state
    ready = state in (State.READY, State.NEW)
    with probing(served) as address:
        alive, body = ask(address, "GET", "/livez?verbose=1")
        readiness, told = ask(address, "GET", "/readyz")
    assert (alive.status, json.loads(body)) == (200, {"status": "alive"})
    assert readiness.status == (200 if ready else 503)
    assert json.loads(told)["status"] == ("ready" if ready else state.value)
    assert readiness.headers["Retry-After"] == (None if ready else "1")


def test_metrics_are_open_to_the_scraper_without_a_key(served):
    with probing(served) as address:
        response, body = ask(address, "GET", "/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"chutes_concurrency 1.0\n" in body
    assert b"chutes_loop_stalls_total 0.0\n" in body


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_gets_no_body_and_other_verbs_are_refused(served, path):
    with probing(served) as address:
        head, empty = ask(address, "HEAD", path)
        refused, _ = ask(address, "POST", path)
    assert (head.status, empty) == (200, b"")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/livez/", "/run"])
def test_nothing_else_is_there(served, path):
    with probing(served) as address:
        response, body = ask(address, "GET", path)
    assert response.status == 404
    assert json.loads(body)["detail"] == "This port answers /livez, /readyz, /metrics."


def test_a_page_that_fails_is_told_in_the_log_alone(served, caplog):
    served.meters._meters["broken"] = None
    with probing(served) as address:
        response, body = ask(address, "GET", "/metrics")
        alive, _ = ask(address, "GET", "/livez")
    assert (response.status, alive.status) == (500, 200)
    assert b"NoneType" not in body
    assert "The probe /metrics failed." in caplog.text


def test_clients_that_never_finish_their_request_keep_nobody_from_an_answer(served):
    with probing(served, most=4) as address, ExitStack() as idle:
        slow = [idle.enter_context(socket.create_connection(address, timeout=20)) for _ in range(12)]
        for client in slow:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        assert ask(address, "GET", "/livez")[0].status == 200
        with suppress(ConnectionResetError):
            assert slow[0].recv(1000) == b""
