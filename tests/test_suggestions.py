import pytest

from chutes.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("gpu_cuont", ["gpu_count", "include"], " Did you mean 'gpu_count'?"),
        ("Concurency", ["concurrency", "name"], " Did you mean 'concurrency'?"),
        ("tagline", ["TAGLINE"], " Did you mean 'TAGLINE'?"),
        ("run", ["route", "run_local"], " Did you mean 'run_local'?"),
        ("o", ["o_local"], ""),
        ("zebra", ["gpu_count", "include"], ""),
        ("anything", [], ""),
        ("", ["name"], ""),
    ],
)
def test_the_nearest_name_is_proposed_and_nothing_when_none_is_near(word, candidates, expected):
    assert did_you_mean(word, candidates) == expected


def test_candidates_may_come_from_a_generator():
    assert did_you_mean("nmae", (name for name in ("name", "image"))) == " Did you mean 'name'?"
