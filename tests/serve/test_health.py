"""`/health`, `/livez` and `/readyz`."""

import asyncio
import threading

import pytest

from chutes.serve import health
from chutes.testing import AsyncTestClient, TestClient
from support.serving import new_chute


@pytest.fixture
def chute():
    return new_chute()


def test_without_a_check_of_its_own_a_chute_is_healthy(chute):
    with TestClient(chute) as client:
        response = client.get("/health")
        probes = [client.get(path) for path in ("/livez", "/readyz")]
    assert (response.status_code, response.json()["status"]) == (200, "healthy")
    assert response.json()["timestamp"].endswith("Z")
    assert [(one.status_code, one.json()["status"]) for one in probes] == [(200, "alive"), (200, "ready")]


@pytest.mark.parametrize("path", ["/health", "/livez", "/readyz"])
def test_probes_answer_head_and_refuse_other_verbs(chute, path):
    with TestClient(chute) as client:
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert client.post(path).status_code in (404, 405)


async def check():
    return {"status": "healthy", "kind": "async"}


async def check_with_chute(chute):
    return {"status": "healthy", "kind": chute.config.name}


def check_synchronously():
    return {"status": "healthy", "kind": threading.current_thread().name}


def check_synchronously_with_chute(self):
    return {"status": "healthy", "kind": self.config.name}


async def check_with_defaults(detail="d", *, more=1):
    return {"status": "healthy", "kind": detail}


class Checker:
    async def check(self):
        return {"status": "healthy", "kind": "method"}

    async def __call__(self, chute):
        return {"status": "healthy", "kind": "callable"}


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        (check, "async"),
        (check_with_chute, "probe"),
        (check_synchronously_with_chute, "probe"),
        (check_with_defaults, "d"),
        (Checker().check, "method"),
        (Checker(), "callable"),
        (lambda: check(), "async"),  # noqa: PLW0108 - a plain function that returns a coroutine
    ],
)
def test_a_check_takes_no_parameter_or_the_chute_and_its_body_is_the_answer(chute, own, kind):
    chute.health_check = own
    with TestClient(chute) as client:
        assert client.get("/health").json() == {"status": "healthy", "kind": kind}


def test_a_synchronous_check_runs_in_a_thread(chute):
    chute.health_check = check_synchronously
    with TestClient(chute) as client:
        assert client.get("/health").json()["kind"].startswith("chute-probe-hooks")


def test_a_check_replaced_in_a_hook_is_used(chute):
    @chute.on_startup()
    async def replace(self):
        async def own():
            return {"status": "unhealthy", "model_loaded": False}

        self.health_check = own

    with TestClient(chute) as client:
        response = client.get("/health")
    assert (response.status_code, response.json()) == (503, {"status": "unhealthy", "model_loaded": False})


@pytest.mark.parametrize(
    "body", [{"status": "degraded"}, {"status": "HEALTHY"}, {"ok": True}, {"status": None}, {}]
)
def test_anything_but_healthy_is_503_with_the_checks_own_body(chute, body):
    chute.health_check = lambda: body
    with TestClient(chute) as client:
        response = client.get("/health")
    assert (response.status_code, response.json()) == (503, body)


def fails():
    raise ValueError("secret")


async def fails_later():
    raise ValueError("secret")


@pytest.mark.parametrize("own", [fails, fails_later])
def test_a_check_that_raises_is_unhealthy_and_its_text_only_in_the_log(chute, own, caplog):
    chute.health_check = own
    with TestClient(chute) as client:
        response = client.get("/health")
        assert client.get("/readyz").status_code == 200
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert "secret" not in response.text
    assert "ValueError: secret" in caplog.text


@pytest.mark.parametrize(
    "result", [None, "healthy", True, ["healthy"], {"status": "healthy", "odd": object()}]
)
def test_a_check_that_returns_no_plain_dict_is_unhealthy_and_the_log_says_why(chute, result, caplog):
    chute.health_check = lambda: result
    with TestClient(chute) as client:
        response = client.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert "The health check returned" in caplog.text or "no rule for builtins.object" in caplog.text


async def test_one_check_at_a_time_serves_all_who_ask_and_is_kept_a_moment(chute):
    calls = []

    async def own():
        calls.append(1)
        await asyncio.sleep(0.02)
        return {"status": "healthy"}

    chute.health_check = own
    async with AsyncTestClient(chute) as client:
        answers = await asyncio.gather(*(client.get("/health") for _ in range(10)))
        again = await client.get("/health")
    assert {one.status_code for one in [*answers, again]} == {200}
    assert len(calls) == 1


async def test_a_check_is_asked_again_when_its_answer_is_old(chute, monkeypatch):
    monkeypatch.setattr(health, "_KEPT_SECONDS", 0.0)
    answers = iter(["healthy", "unhealthy", "healthy"])
    chute.health_check = lambda: {"status": next(answers)}
    async with AsyncTestClient(chute) as client:
        assert [(await client.get("/health")).status_code for _ in range(3)] == [200, 503, 200]


async def test_one_who_leaves_ends_no_check_for_the_others(chute):
    async def own():
        await asyncio.sleep(0.03)
        return {"status": "healthy"}

    chute.health_check = own
    async with AsyncTestClient(chute) as client:
        leaving = asyncio.create_task(client.get("/health"))
        await asyncio.sleep(0.01)
        staying = asyncio.create_task(client.get("/health"))
        await asyncio.sleep(0.005)
        leaving.cancel()
        assert (await staying).status_code == 200


@pytest.mark.parametrize("synchronous", [False, True])
def test_a_check_that_takes_too_long_is_unhealthy_in_time(chute, synchronous, monkeypatch, caplog):
    monkeypatch.setattr(health, "_LIMIT_SECONDS", 0.05)
    release = threading.Event()

    async def slow():
        await asyncio.sleep(60)

    chute.health_check = (lambda: release.wait(5)) if synchronous else slow
    try:
        with TestClient(chute, timeout=2) as client:
            response = client.get("/health")
            release.set()
    finally:
        release.set()
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert "took more than 0.05 s" in caplog.text


def test_an_answer_of_the_last_run_is_not_kept_for_the_next(chute):
    chute.health_check = lambda: {"status": "unhealthy"}
    with TestClient(chute) as client:
        assert client.get("/health").status_code == 503
    chute.health_check = check
    with TestClient(chute) as client:
        assert client.get("/health").status_code == 200


async def test_while_starting_all_but_livez_is_503():
    chute = new_chute()
    seen = {}

    async def ask(path):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [],
            "query_string": b"",
            "root_path": "",
        }
        await chute(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])

    @chute.on_startup()
    async def start(self):
        for path in ("/livez", "/readyz", "/health", "/own", "/docs"):
            seen[path] = await ask(path)

    async with AsyncTestClient(chute):
        pass
    assert {path: status for path, (status, _) in seen.items()} == {
        "/livez": 200,
        "/readyz": 503,
        "/health": 503,
        "/own": 503,
        "/docs": 503,
    }
    assert all(b"retry-after" in headers for path, (_, headers) in seen.items() if path != "/livez")
