"""What the README, the docs and the docstrings show is true: every example runs."""

import ast
import re
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Document
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

from support.pages import DOCTEST_OPTIONS, ROOT, PageRun

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
# What a block may be written in. `python` and `console` run; the others show data.
LANGUAGES = {"python", "console", "json", "text", "toml", "yaml", "dockerfile", "html"}


def name(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else str(path)


def docstring_examples(path: Path) -> Document:
    parsers = [
        DocTestParser(DOCTEST_OPTIONS),
        PythonCodeBlockParser(doctest_optionflags=DOCTEST_OPTIONS),
        SkipParser(),
    ]
    return PythonDocStringDocument.parse(str(path), *parsers)


def has_examples(path: Path) -> bool:
    text = path.read_text()
    return ">>>" in text or "```python" in text


# A page may start several servers, one of them with a real model.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_example_of_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "page"
    folder.mkdir()
    PageRun(page, folder, monkeypatch).run()


@pytest.mark.parametrize("source", [path for path in SOURCES if has_examples(path)], ids=name)
def test_every_example_of_the_docstrings_runs(source: Path):
    for example in docstring_examples(source).examples():
        try:
            example.evaluate()
        except SkipTest:
            continue


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_its_language(page: Path):
    opening = re.findall(r"^ *```(.*)\n(?:.*\n)*?^ *```$", page.read_text(), re.MULTILINE)
    assert set(opening) <= LANGUAGES


@pytest.mark.parametrize("path", [*PAGES, *(path for path in SOURCES if has_examples(path))], ids=name)
def test_an_example_is_left_out_for_a_written_reason(path: Path):
    for mark in re.findall(r"^ *<!--+ *skip:(.*?)--+>", path.read_text(), re.MULTILINE):
        reason = re.fullmatch(r" *(?:next|start) (\".{10,}\") *| *end *", mark)
        assert reason, f'Write <!-- skip: next "the reason" -->, not skip:{mark}'
        assert reason[1] is None or ast.literal_eval(reason[1])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_file_leads_somewhere(page: Path):
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_map_of_the_docs_leads_to_every_page():
    docs = ROOT / "docs"
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", (docs / "index.md").read_text()))
    assert linked == {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} - {"index.md"}
