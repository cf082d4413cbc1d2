"""The harness of the docs notices what is false."""

from pathlib import Path

import pytest

from support.pages import PageRun, commands, same
from support.require import require_program


def run_page(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    folder = tmp_path / "folder"
    folder.mkdir()
    PageRun(page, folder, monkeypatch).run()


def test_a_page_whose_python_fails_fails(tmp_path, monkeypatch):
    with pytest.raises(ZeroDivisionError):
        run_page("```python\n1 / 0\n```\n", tmp_path, monkeypatch)


def test_the_blocks_of_a_page_share_their_names(tmp_path, monkeypatch):
    run_page("```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n", tmp_path, monkeypatch)


def test_a_command_that_prints_something_else_fails_the_page(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="expected:\nfour"):
        run_page("```console\n$ echo five\nfour\n```\n", tmp_path, monkeypatch)


def test_a_command_that_fails_in_silence_fails_the_page(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="exit code 3"):
        run_page("```console\n$ exit 3\n```\n", tmp_path, monkeypatch)


def test_a_block_that_names_a_file_can_be_imported_and_read(tmp_path, monkeypatch):
    text = "```python\n# seven.py\nseven = 7\n```\n\n```python\nfrom seven import seven\nassert seven == 7\n```\n"
    run_page(text + "\n```console\n$ cat seven.py\n# seven.py\nseven = 7\n```\n", tmp_path, monkeypatch)


def test_a_file_can_go_on_in_a_later_block(tmp_path, monkeypatch):
    text = "```python\n# nine.py\nnine = 7\n```\n\n```python\n# nine.py, continued\nnine += 2\n```\n"
    run_page(text + "\n```python\nfrom nine import nine\nassert nine == 9\n```\n", tmp_path, monkeypatch)


def test_a_block_after_a_skip_mark_does_not_run(tmp_path, monkeypatch):
    run_page('<!-- skip: next "it would fail" -->\n```python\n1 / 0\n```\n', tmp_path, monkeypatch)


def test_a_console_block_is_read_as_commands_with_their_output():
    block = "$ curl -s \\\n    localhost\nhello\n\n$ true\n$ echo a b\na b\n"
    assert list(commands(block)) == [("curl -s localhost", "hello"), ("true", ""), ("echo a b", "a b")]


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("2 passed in 0.12s", "2 passed in 3.40s"),
        ("a ... d", "a b c d"),
        ("a\n  b", "a b"),
        ("0.528", "0.5312"),
        ("", "anything"),
    ],
)
def test_blanks_durations_dots_and_late_decimals_do_not_count(expected, printed):
    assert same(expected, printed)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [("a ... d", "a b c"), ("0.52", "0.62"), ("3 passed in 1.00s", "2 passed in 1.00s")],
)
def test_everything_else_counts(expected, printed):
    assert not same(expected, printed)


def test_a_missing_real_part_skips_on_a_laptop(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="No such-a-program on this machine"):
        require_program("such-a-program")


def test_a_missing_real_part_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="No such-a-program on this machine"):
        require_program("such-a-program")


def test_a_real_part_that_is_there_is_found():
    assert Path(require_program("no-such-shell", "sh")).is_absolute()
