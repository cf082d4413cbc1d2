"""The index of the semantic-search example."""

import threading

import numpy as np
import pytest


@pytest.fixture(scope="module")
def module(example_module):
    return example_module("semantic_search/document_index.py")


@pytest.fixture
def index(module):
    return module.DocumentIndex(dimensions=2, capacity=4)


@pytest.fixture
def document(module):
    return lambda document_id, text="text": module.Document(document_id, text, {})


def vectors(*rows):
    return np.array(rows, dtype=np.float32)


def ids(hits):
    return [hit.document.id for hit in hits]


def test_the_nearest_document_comes_first(index, document):
    index.add([document("east"), document("north")], vectors([1, 0], [0, 1]))
    hits = index.search(np.array([0.6, 0.8]), limit=5)
    assert ids(hits) == ["north", "east"]
    assert [round(hit.score, 3) for hit in hits] == [0.8, 0.6]


def test_an_empty_index_finds_nothing(index):
    assert index.search(np.array([1, 0]), limit=5) == []


def test_a_search_keeps_to_its_limit_and_its_lowest_score(index, document):
    index.add([document("a"), document("b"), document("c")], vectors([1, 0], [0.8, 0.6], [-1, 0]))
    assert ids(index.search(np.array([1, 0]), limit=1)) == ["a"]
    assert ids(index.search(np.array([1, 0]), limit=5, min_score=0.5)) == ["a", "b"]


def test_a_known_id_replaces_its_document(index, document):
    index.add([document("a", "old"), document("b")], vectors([1, 0], [0, 1]))
    assert index.add([document("a", "new")], vectors([0, 1])) == 2
    assert {one.id: one.text for one in index.documents} == {"a": "new", "b": "text"}
    assert ids(index.search(np.array([1, 0]), limit=5, min_score=0.5)) == []


def test_the_last_document_of_an_id_counts_within_one_call(index, document):
    assert index.add([document("a", "old"), document("a", "new")], vectors([1, 0], [0, 1])) == 1
    assert index.documents[0].text == "new"
    assert index.search(np.array([0, 1]), limit=1)[0].score == 1


def test_a_removed_document_is_found_no_more(index, document):
    index.add([document("a"), document("b")], vectors([1, 0], [0, 1]))
    assert index.remove("a")
    assert ids(index.search(np.array([1, 0]), limit=5)) == ["b"]
    assert len(index) == 1


def test_removing_what_is_not_there_says_so(index):
    assert not index.remove("a")


def test_a_full_index_takes_nothing_of_what_does_not_fit(module, index, document):
    index.add([document(name) for name in "abc"], vectors([1, 0], [1, 0], [1, 0]))
    with pytest.raises(module.IndexFullError, match="3 of at most 4"):
        index.add([document("d"), document("e")], vectors([1, 0], [1, 0]))
    assert len(index) == 3


def test_a_full_index_still_replaces(index, document):
    index.add([document(name) for name in "abcd"], vectors(*[[1, 0]] * 4))
    assert index.add([document("a", "new"), document("b", "new")], vectors([1, 0], [1, 0])) == 4


def test_searches_see_whole_changes_only(module, document):
    index = module.DocumentIndex(dimensions=2, capacity=1000)
    stop = threading.Event()
    failures = []

    def search():
        while not stop.is_set():
            found = index.search(np.array([1, 0]), limit=1000)
            # Each change adds or removes a pair, and the score of a document tells its name.
            wrong = [hit for hit in found if hit.document.id[0] != ("a" if hit.score > 0.5 else "b")]
            if wrong:
                failures.append(wrong)

    searching = threading.Thread(target=search)
    searching.start()
    for number in range(200):
        index.add([document(f"a{number}"), document(f"b{number}")], vectors([1, 0], [0, 1]))
        if number % 3 == 0:
            index.remove(f"a{number}")
    stop.set()
    searching.join()
    assert not failures


def test_writers_in_several_threads_lose_nothing(module, document):
    index = module.DocumentIndex(dimensions=2, capacity=1000)

    def add(letter):
        for number in range(50):
            index.add([document(f"{letter}{number}")], vectors([1, 0]))

    writers = [threading.Thread(target=add, args=(letter,)) for letter in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(index) == 200
