"""The example of API keys and a rate limit."""

import pytest

from chutes.testing import TestClient

TEXT = (
    "Rivers shape valleys. Valleys hold rivers, and rivers carry stones. It rained. "
    "Over many years the stones that rivers carry shape the valleys."
)


@pytest.fixture
def client(example_chute):
    with TestClient(example_chute("api_keys_and_rate_limit.py")) as client:
        yield client


@pytest.fixture
def window(example_chute, example_module):
    example_chute("api_keys_and_rate_limit.py")
    return example_module("api_keys_and_rate_limit.py").SlidingWindow(60)


def summarise(client, key="busy-bee", **options):
    headers = {"X-API-Key": key} if key is not None else {}
    return client.post("/summary", json={"text": TEXT, **options}, headers=headers)


@pytest.mark.parametrize("key", [None, "", "wrong", "try-me ", "é", "x" * 5000])
def test_without_a_known_key_nothing_is_answered(client, key):
    answer = client.post(
        "/summary", json={"text": TEXT}, headers=[(b"X-API-Key", key.encode("latin-1"))] if key else []
    )
    assert answer.status_code == 401
    assert answer.json() == {"detail": "The X-API-Key header is missing, or its key is unknown."}


def test_the_summary_has_the_weightiest_sentences_in_their_order(client):
    summary = summarise(client, sentences=2).json()["summary"]
    assert len(summary) == 2
    assert "It rained." not in summary
    assert [TEXT.index(sentence) for sentence in summary] == sorted(
        TEXT.index(sentence) for sentence in summary
    )


def test_a_short_text_is_its_own_summary(client):
    assert summarise(client, text="Hello!").json() == {"summary": ["Hello!"]}


def test_each_answer_says_how_many_requests_are_left(client):
    assert [summarise(client, "try-me").headers["X-RateLimit-Remaining"] for _ in range(3)] == ["4", "3", "2"]


def test_too_many_requests_are_told_when_to_come_back(client):
    statuses = [summarise(client, "try-me").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = summarise(client, "try-me")
    assert refused.json() == {"detail": "More than 5 requests a minute."}
    assert 50 <= int(refused.headers["Retry-After"]) <= 60


def test_one_clients_limit_is_not_anothers(client):
    for _ in range(6):
        summarise(client, "try-me")
    assert summarise(client, "busy-bee").status_code == 200


def test_the_docs_know_the_header(client):
    document = client.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert [(one["in"], one["name"]) for one in schemes.values()] == [("header", "X-API-Key")]
    assert {"401", "429"} <= set(document["paths"]["/summary"]["post"]["responses"])


def test_the_window_slides(window):
    for now in (0, 10, 20):
        assert window.wait("ana", 3, now) == 0
    assert window.wait("ana", 3, 30) == 30
    assert window.wait("ana", 3, 59.5) == 0.5
    assert window.wait("ana", 3, 60) == 0
    assert window.wait("ana", 3, 60) == 10


def test_a_refused_request_does_not_count(window):
    assert window.wait("ana", 1, 0) == 0
    for now in range(1, 60):
        assert window.wait("ana", 1, now) == 60 - now
    assert window.wait("ana", 1, 60) == 0


def test_clients_that_went_quiet_take_no_memory(window):
    for number in range(1000):
        window.wait(f"client-{number}", 5, 0)
    window.wait("ana", 5, 61)
    assert list(window._times) == ["ana"]


@pytest.mark.parametrize(
    "options", [{"text": ""}, {"text": "x" * 20_001}, {"sentences": 0}, {"sentences": 21}]
)
def test_input_out_of_bounds_is_refused(client, options):
    assert summarise(client, **options).status_code == 422
