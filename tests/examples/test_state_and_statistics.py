"""The example of state and statistics."""

import asyncio
import math
import threading

import pytest

from chutes.testing import AsyncTestClient, TestClient, async_wait_until


@pytest.fixture
def chute(example_chute):
    return example_chute("state_and_statistics.py")


@pytest.fixture
def module(chute, example_module):
    return example_module("state_and_statistics.py")


@pytest.fixture
def client(chute):
    with TestClient(chute) as client:
        yield client


def factors(client, number):
    answer = client.post("/factors", json={"number": number})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(2, [2]), (12, [2, 2, 3]), (97, [97]), (10**14, [2] * 14 + [5] * 14), (49, [7, 7])],
)
def test_a_number_is_taken_apart(client, number, expected):
    assert factors(client, number)["factors"] == expected


def test_the_second_answer_comes_from_the_cache(client):
    first, second = factors(client, 9409), factors(client, 9409)
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["factors"] == second["factors"] == [97, 97]


def test_the_statistics_say_how_often_the_cache_helped(client):
    assert client.get("/stats").json()["cache_hit_rate"] is None
    for number in (10, 10, 10, 11):
        factors(client, number)
    stats = client.get("/stats").json()
    assert (stats["requests"], stats["cache_hits"], stats["cache_hit_rate"]) == (4, 2, 0.5)
    assert stats["cache_entries"] == 2
    assert 0 <= stats["milliseconds_median"] <= stats["milliseconds_p95"]


def test_a_cleared_cache_is_empty(client):
    factors(client, 10)
    assert client.delete("/cache").json() == {"removed": 1}
    assert not factors(client, 10)["cached"]


def test_the_cache_forgets_what_was_not_asked_for_longest(client, module, monkeypatch):
    monkeypatch.setattr(module, "CACHE_SIZE", 2)
    for number in (10, 11, 10, 12):
        factors(client, number)
    assert factors(client, 10)["cached"]
    assert not factors(client, 11)["cached"]
    assert client.get("/stats").json()["cache_entries"] == 2


@pytest.mark.parametrize("number", [1, 0, -7, 10**14 + 1, 2.5, "twelve", None, 10**300])
def test_a_number_out_of_range_is_refused(client, number):
    assert client.post("/factors", json={"number": number}).status_code == 422


async def test_the_same_number_at_the_same_time_is_calculated_once(chute, module, monkeypatch):
    calls, release = [], threading.Event()

    def slow(number):
        calls.append(number)
        release.wait(10)
        return [number]

    monkeypatch.setattr(module, "prime_factors", slow)
    async with AsyncTestClient(chute) as client:
        asked = [asyncio.create_task(client.post("/factors", json={"number": 7})) for _ in range(3)]
        await async_wait_until(lambda: chute.requests == 3)
        release.set()
        answers = [answer.json() for answer in await asyncio.gather(*asked)]
    assert calls == [7]
    assert [answer["factors"] for answer in answers] == [[7]] * 3


async def test_a_failed_calculation_is_tried_again_by_the_next_request(chute, module, monkeypatch):
    async with AsyncTestClient(chute) as client:
        with monkeypatch.context() as broken:
            broken.setattr(module, "prime_factors", lambda number: math.log(-number))
            assert (await client.post("/factors", json={"number": 6})).status_code == 500
        assert (await client.post("/factors", json={"number": 6})).json()["factors"] == [2, 3]
