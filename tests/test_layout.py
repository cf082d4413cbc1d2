"""The rules of the tree that no linter checks."""

import re
import subprocess
from pathlib import Path

import pytest

import chutes
from support.require import require

ROOT = Path(__file__).parent.parent
LONGEST = 400
# A file stands here with its length while it is too long, and the number may only fall.
TOO_LONG: dict[str, int] = {}
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
MACHINE = re.compile(r"/(?:work|root|home/\w+|Users/\w+)/(?!\.cache\b)")
INDEX_HOSTS = re.compile(r"python" r"hosted|pypi\.\w+/simple|registry\.npm|deb\.debian")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def tracked(pattern: str = "*") -> list[Path]:
    """The files that git knows, or would take: those of a change that is being made count too."""
    require((ROOT / ".git").exists(), "This is no git checkout, so its tracked files are unknown.")
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in sorted(listing.stdout.split("\0")) if name and (path := ROOT / name).is_file()]


def matches(pattern: re.Pattern[str], suffixes: tuple[str, ...] = ()) -> list[str]:
    """`path:line: text` of each tracked line that the pattern finds."""
    found = []
    for path in tracked():
        if suffixes and path.suffix not in suffixes:
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [f"{name}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def test_no_source_file_is_longer_than_its_limit():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in tracked("src/*.py")
    }
    too_long = {name: n for name, n in lengths.items() if n > TOO_LONG.get(name, LONGEST)}
    assert not too_long, f"Split them by purpose; {LONGEST} lines is the limit."


def test_the_exceptions_to_the_length_limit_only_shrink():
    for name, limit in TOO_LONG.items():
        length = len((ROOT / name).read_text().splitlines())
        assert length == limit, f"{name} has {length} lines: write that number, or drop the exception."


def test_no_module_is_a_drawer():
    named_so = [
        path for path in tracked("src/*.py") if DRAWERS & {part.removesuffix(".py") for part in path.parts}
    ]
    assert not named_so, "Name a file for what it is about."


def test_every_source_file_says_its_purpose_in_its_first_line():
    silent = [path for path in tracked("src/*.py") if not path.read_text().startswith(('"""', 'r"""'))]
    assert not silent


def test_no_file_names_a_path_of_somebodys_machine():
    assert not matches(MACHINE)


def test_no_file_names_the_host_of_a_package_index():
    assert not matches(INDEX_HOSTS)


def test_nothing_is_left_for_later_in_a_comment():
    assert not matches(UNFINISHED, suffixes=(".py", ".md", ".toml", ".sh"))


def test_the_newest_version_in_the_changelog_is_the_packages():
    versions = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == chutes.__version__


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "design").glob("[0-9]*.md")), ids=lambda page: page.stem
)
def test_a_design_page_says_what_was_decided_and_given_up(page: Path):
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "What we gave up"]
    assert len(text.splitlines()) <= 60, "A design page is one page."
