"""One attempt to tell a receiver, against real ones."""

import asyncio
import socket
import time

import pytest
from standardwebhooks import WebhookVerificationError

from chutes.jobs.deliveries import Answer
from chutes.jobs.memory import Memory
from chutes.jobs.run import Status
from chutes.jobs.store import Ending, NewRun, Store
from chutes.jobs.webhook_sender import WebhookSender, message_of
from chutes.settings import WebhookSettings
from support.certificate import write_certificate
from support.receiver import OTHER_SECRET, SECRET, receiver

LOCAL = WebhookSettings(secrets=(SECRET,), private_hosts=("127.0.0.1", "localhost", "hooks.test"))


@pytest.fixture
async def run():
    store = Store(Memory(), "worker")
    await store.open()
    await store.insert(NewRun(job="embed", arguments='{"text":"Grüße"}', webhook="http://kept.example"))
    (run,) = await store.claim(["embed"], 1)
    yield await store.finish(run, Ending(status=Status.SUCCEEDED, result='{"n":1}'))
    await store.close()


@pytest.fixture
def resolved(monkeypatch):
    """Names that lead to 127.0.0.1; counts how often each was asked for."""
    asked = []
    truly = asyncio.base_events.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop, host, port, **options):
        if host != "hooks.test":
            return await truly(loop, host, port, **options)
        asked.append(host)
        # Whoever asks once more is led elsewhere.
        address = "127.0.0.1" if len(asked) == 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


def sender(settings=LOCAL):
    return WebhookSender(settings)


async def test_a_receiver_verifies_what_it_is_told(run):
    with receiver(200) as there:
        assert await sender().send(there.url + "?token=1", run) == Answer()

    (told,) = there.told
    assert told.path == "/hooks?token=1"
    event = told.verified()
    assert event["type"] == "job.succeeded"
    shown = run.shown()
    del shown["webhook"]
    assert event["data"] == shown
    assert event["timestamp"] == shown["finished_at"]
    assert told.headers["content-type"] == "application/json"
    assert told.headers["host"] == f"127.0.0.1:{there.port}"
    assert told.headers["user-agent"].startswith("openchutes/")
    assert abs(int(told.headers["webhook-timestamp"]) - time.time()) < 300
    with pytest.raises(WebhookVerificationError):
        told.verified(OTHER_SECRET)


async def test_while_the_secret_changes_both_sign(run):
    both = WebhookSettings(secrets=(SECRET, OTHER_SECRET), private_hosts=("*",))
    with receiver(204) as there:
        await sender(both).send(there.url, run)

    assert there.told[0].verified(SECRET) == there.told[0].verified(OTHER_SECRET)


async def test_each_attempt_has_the_same_id_and_body(run):
    with receiver(500, 204) as there:
        for _ in range(2):
            await sender().send(there.url, run)

    first, second = there.told
    assert (first.id, first.body) == (second.id, second.body)
    assert first.id.startswith(f"msg_{run.id}_")
    assert first.body.decode() == message_of(run)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (200, Answer()),
        (299, Answer()),
        (400, Answer(error="the receiver answered 400")),
        (500, Answer(error="the receiver answered 500")),
        ((503, {"Retry-After": "120"}), Answer(error="the receiver answered 503", wait=120.0)),
        ((429, {"Retry-After": "999999"}), Answer(error="the receiver answered 429", wait=3600.0)),
        ((429, {"Retry-After": "tomorrow"}), Answer(error="the receiver answered 429")),
        (304, Answer(error="the receiver answered 304")),
    ],
)
async def test_a_2xx_counts_and_nothing_else(run, answer, expected):
    with receiver((answer, {}) if isinstance(answer, int) else answer) as there:
        assert await sender().send(there.url, run) == expected


async def test_410_wants_no_more(run):
    with receiver(410) as there:
        answer = await sender().send(there.url, run)

    assert answer.is_final
    assert "410" in answer.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(run, status):
    with receiver(204) as elsewhere, receiver((status, {"Location": elsewhere.url})) as there:
        answer = await sender().send(there.url, run)

    assert elsewhere.told == []
    assert answer.error == f"the receiver answered {status}, to {elsewhere.url}; redirects are not followed"


async def test_no_proxy_is_asked(run, monkeypatch):
    with receiver(204) as proxy, receiver(204) as there:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await sender().send(there.url, run) == Answer()

    assert (len(proxy.told), len(there.told)) == (0, 1)


async def test_a_receiver_that_is_down_is_an_error(run):
    with receiver() as there:
        pass
    answer = await sender().send(there.url, run)

    assert answer.error.startswith("ConnectError")
    assert not answer.is_final


async def test_a_receiver_that_answers_nothing_is_given_up(run, monkeypatch):
    monkeypatch.setattr("chutes.jobs.webhook_sender._TOTAL_SECONDS", 0.2)
    with receiver(None) as there:
        answer = await sender().send(there.url, run)

    assert "0.2" in answer.error or "Timeout" in answer.error


async def test_an_answer_without_end_is_not_read(run):
    def endless(connection):
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    connection.sendall(b"x" * 65536)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(lambda: endless(listener.accept()[0])))
        port = listener.getsockname()[1]
        assert await sender().send(f"http://127.0.0.1:{port}/", run) == Answer()
        await asyncio.wait_for(serving, 60)


async def test_a_name_that_leads_to_a_private_address_is_not_told(run):
    with receiver(204) as there:
        url = f"http://localhost:{there.port}/hooks"
        answer = await sender(WebhookSettings(secrets=(SECRET,))).send(url, run)

    assert there.told == []
    assert "localhost has no public address" in answer.error
    assert "CHUTES_WEBHOOK_ALLOW_PRIVATE" in answer.error


async def test_a_name_is_asked_for_once_and_its_address_connected_to(run, resolved):
    with receiver(204) as there:
        answer = await sender().send(f"http://hooks.test:{there.port}/hooks", run)

    assert answer == Answer()
    assert resolved == ["hooks.test"]
    assert there.told[0].headers["host"] == f"hooks.test:{there.port}"


async def test_the_next_address_is_tried_where_the_first_refuses(run, monkeypatch):
    with receiver(204) as there:
        addresses = ["127.0.0.2", "127.0.0.1"]

        async def permitted(_host, _port, _settings):
            return addresses

        monkeypatch.setattr("chutes.jobs.webhook_sender.permitted_addresses", permitted)
        assert await sender().send(f"http://hooks.test:{there.port}/", run) == Answer()


async def test_a_receiver_is_told_over_https(run, tmp_path, monkeypatch):
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiver(204, certificate=certificate) as there:
        assert await sender().send(there.url, run) == Answer()

    assert there.told[0].verified()["type"] == "job.succeeded"


async def test_the_certificate_has_to_be_that_of_the_name(run, tmp_path, monkeypatch, resolved):
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiver(204, certificate=certificate) as there:
        answer = await sender().send(f"https://hooks.test:{there.port}/hooks", run)

    assert there.told == []
    assert there.names == ["hooks.test"]
    assert "hooks.test" in answer.error


async def test_an_unknown_certificate_is_not_trusted(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with receiver(204, certificate=write_certificate(tmp_path)) as there:
        answer = await sender().send(there.url, run)

    assert there.told == []
    assert "certificate" in answer.error.lower()


async def test_without_a_secret_nothing_is_sent(run):
    with receiver(204) as there:
        answer = await sender(WebhookSettings(private_hosts=("*",))).send(there.url, run)

    assert there.told == []
    assert "CHUTES_WEBHOOK_SECRET" in answer.error
