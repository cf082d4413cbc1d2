"""The example of batching by hand: what is right for one client, and what must not harm the others."""

import asyncio
import threading

import pytest

from chutes.testing import AsyncTestClient, TestClient, async_wait_until


@pytest.fixture
def chute(example_chute):
    return example_chute("batching_by_hand.py")


@pytest.fixture
def module(chute, example_module):
    return example_module("batching_by_hand.py")


class HeldModel:
    """A model that answers when it is released, and keeps what it was asked."""

    def __init__(self):
        self.batches = []
        self.release = threading.Event()

    def predict(self, texts):
        self.batches.append(texts)
        assert self.release.wait(10)
        return [{text: 1.0} for text in texts]


def ask(client, text):
    return asyncio.create_task(client.post("/language", json={"text": text}))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is the station?", "en"),
        ("Wo ist der Bahnhof?", "de"),
        ("Où est la gare ?", "fr"),
        ("¿Dónde está la estación?", "es"),
        ("Dov'è la stazione?", "it"),
        ("Waar is het station?", "nl"),
    ],
)
def test_the_language_of_a_sentence_is_told(chute, text, language):
    with TestClient(chute) as client:
        answer = client.post("/language", json={"text": text}).json()
    assert answer["language"] == language
    assert 0.5 < answer["probability"] <= 1


def test_a_batch_gives_what_each_text_gives_alone(module):
    model = module.LanguageModel(module.SAMPLES)
    texts = ["Where is it?", "Wo ist es?", "Où est-ce ?", "a", "我们"]
    for text, probabilities in zip(texts, model.predict(texts), strict=True):
        assert probabilities == pytest.approx(model.predict([text])[0])
        assert sum(probabilities.values()) == pytest.approx(1)


async def test_requests_at_the_same_time_share_batches(chute, module):
    async with AsyncTestClient(chute) as client:
        answers = await asyncio.gather(*(ask(client, f"This is text number {n}.") for n in range(40)))
        stats = (await client.get("/stats")).json()
    assert {answer.status_code for answer in answers} == {200}
    assert 1 < stats["largest"] <= module.BATCH_SIZE
    assert stats["batches"] < 40


async def test_each_client_gets_its_own_answer(chute):
    texts = {
        "en": "Where is the house of the dog?",
        "de": "Wo ist das Haus des Hundes?",
        "fr": "Où est la maison ?",
    }
    async with AsyncTestClient(chute) as client:
        answers = await asyncio.gather(*(ask(client, text) for _ in range(8) for text in texts.values()))
    assert [answer.json()["language"] for answer in answers] == list(texts) * 8


async def test_an_input_that_fails_does_not_fail_its_neighbours(chute):
    async with AsyncTestClient(chute) as client:
        answers = await asyncio.gather(
            *(ask(client, text) for text in ("Where is it?", "12345 !", "Wo ist es?"))
        )
    assert [answer.status_code for answer in answers] == [200, 400, 200]
    assert answers[1].json() == {"detail": "The text has no letters, so it has no language."}


async def test_a_failure_of_the_model_reaches_those_who_wait_and_ends_there(chute, module):
    async with AsyncTestClient(chute) as client:
        working = chute.model
        chute.model = object()
        answers = await asyncio.gather(*(ask(client, "Where is it?") for _ in range(3)))
        assert {answer.status_code for answer in answers} == {500}
        chute.model = working
        assert (await ask(client, "Where is it?")).json()["language"] == "en"


async def test_a_client_that_leaves_harms_nobody(chute):
    async with AsyncTestClient(chute) as client:
        chute.model = model = HeldModel()
        leaves, stays = ask(client, "leaves"), ask(client, "stays")
        await async_wait_until(lambda: model.batches)
        leaves.cancel()
        model.release.set()
        assert (await stays).json()["language"] == "stays"
        assert (await ask(client, "comes later")).json()["language"] == "comes later"


async def test_a_cancelled_request_is_not_worked_on(chute, module):
    async with AsyncTestClient(chute) as client:
        chute.model = model = HeldModel()
        first = ask(client, "first")
        await async_wait_until(lambda: model.batches)
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        chute.queue.put_nowait(module.Waiting("nobody waits", cancelled))
        second = ask(client, "second")
        await async_wait_until(lambda: chute.queue.qsize() == 2)
        model.release.set()
        await asyncio.gather(first, second)
    assert model.batches == [["first"], ["second"]]


@pytest.mark.parametrize("text", ["", "x" * 5001, None, 5])
def test_input_out_of_bounds_is_refused(chute, text):
    with TestClient(chute) as client:
        assert client.post("/language", json={"text": text}).status_code == 422


async def test_the_chute_starts_again_after_it_was_stopped(chute):
    for _ in range(2):
        async with AsyncTestClient(chute) as client:
            assert (await ask(client, "Where is it?")).status_code == 200
    assert chute.batcher.cancelled() or chute.batcher.cancelling()
