"""`.dockerignore`: what Docker's documentation says of each kind of pattern."""

import pytest

from chutes.build.ignore import Ignored
from chutes.errors import BuildError


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("notes.txt", ["notes.txt"], ["docs/notes.txt", "notes.txt.bak"]),
        ("/notes.txt", ["notes.txt"], ["docs/notes.txt"]),
        ("data", ["data", "data/a.bin", "data/deep/a.bin"], ["database", "my/data"]),
        ("data/", ["data/a.bin"], ["database"]),
        ("*.log", ["a.log"], ["logs/a.log", "a.logs"]),
        ("*/temp*", ["a/temp", "a/temporary.txt", "a/temp/x"], ["temp", "a/b/temp"]),
        ("temp?", ["tempa"], ["temp", "temp/a"]),
        ("**/*.pyc", ["a.pyc", "x/y/a.pyc"], ["a.py"]),
        ("**", ["a", "a/b"], []),
        ("docs/**/draft.md", ["docs/draft.md", "docs/a/b/draft.md"], ["draft.md"]),
        ("[a-c].txt", ["a.txt"], ["d.txt"]),
        ("[^a].txt", ["b.txt"], ["a.txt"]),
        ("a.b+(c)", ["a.b+(c)"], ["aXb+(c)"]),
        (r"\*.txt", ["*.txt"], ["a.txt"]),
    ],
)
def test_a_pattern_means_what_it_means_to_docker(pattern, ignored, kept):
    rules = Ignored.parse([pattern])

    assert [path for path in ignored if not rules.matches(path)] == []
    assert [path for path in kept if rules.matches(path)] == []


def test_the_last_pattern_that_matches_decides():
    rules = Ignored.parse(["*.md", "!README*.md", "README-secret.md"])

    assert [rules.matches(name) for name in ("a.md", "README.md", "README-secret.md")] == [True, False, True]


def test_comments_and_empty_lines_are_no_patterns():
    assert Ignored.parse(["# *", "", "   ", "."]).rules == ()


def test_without_a_file_nothing_is_ignored(tmp_path):
    assert not Ignored.of(tmp_path).matches("anything")


def test_podmans_own_name_of_the_file_comes_first(tmp_path):
    (tmp_path / ".dockerignore").write_text("a\n")
    (tmp_path / ".containerignore").write_text("b\n")

    rules = Ignored.of(tmp_path)

    assert (rules.matches("a"), rules.matches("b")) == (False, True)


def test_a_pattern_that_cannot_be_is_named_with_its_file(tmp_path):
    (tmp_path / ".dockerignore").write_text("data[0-9\n")

    with pytest.raises(BuildError, match=r"dockerignore.*'\[0-9'"):
        Ignored.of(tmp_path)
