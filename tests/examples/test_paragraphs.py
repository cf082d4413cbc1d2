"""How the semantic-search example splits a file."""

import pytest


@pytest.fixture(scope="module")
def split(example_module):
    return example_module("semantic_search/paragraphs.py").split_paragraphs


def test_empty_lines_part_paragraphs(split):
    assert split("One\nand more.\n\n \n\nTwo.\n") == ["One and more.", "Two."]


def test_files_from_windows_are_split_too(split):
    assert split("One.\r\n\r\nTwo.") == ["One.", "Two."]


def test_a_heading_stays_with_the_paragraph_under_it(split):
    assert split("# Cats\n\n## Sleep\n\nA lot.\n\nEvery day.") == ["Cats: Sleep: A lot.", "Every day."]


def test_a_heading_at_the_end_is_kept(split):
    assert split("Text.\n\n# The end") == ["Text.", "The end"]


def test_a_long_paragraph_is_cut_between_words(split):
    parts = split("word " * 500, longest=100)
    assert all(len(part) <= 100 for part in parts)
    assert " ".join(parts).split() == ["word"] * 500


def test_a_word_longer_than_a_paragraph_is_cut(split):
    assert split("x" * 250, longest=100) == ["x" * 100, "x" * 100, "x" * 50]


@pytest.mark.parametrize("text", ["", "\n\n", " \t\r\n"])
def test_a_file_without_text_has_no_paragraphs(split, text):
    assert split(text) == []
