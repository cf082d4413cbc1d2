"""docs/cli.md says what the commands say."""

import importlib.util
from pathlib import Path

from chutes.cli.commands import COMMANDS
from chutes.loading import load_chute
from chutes.serve.banner import banner

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "cli.md").read_text()


def test_its_tables_hold_the_options_of_the_commands():
    spec = importlib.util.spec_from_file_location("write_options", DOCS / "write_options.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)

    assert writer.with_options(PAGE) == PAGE, "Run python docs/write_options.py"


def test_it_has_a_section_for_every_command():
    for name in COMMANDS:
        assert f"\n## chutes {name}" in PAGE


def test_its_greeting_is_that_of_the_starter(cli):
    cli("new", "speech")

    greeting = banner(load_chute("speech/app.py"), "http://127.0.0.1:8000")

    assert f"```text\n{greeting.rstrip()}\n```" in PAGE
