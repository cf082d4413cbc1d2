"""Write the options of each command into cli.md, as the commands themselves declare them: python docs/write_options.py"""

import re
from pathlib import Path

import typer

from chutes.cli import application

PAGE = Path(__file__).with_name("cli.md")
BLOCK = re.compile(r"(<!-- options of (?P<command>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_options(text: str) -> str:
    """The text of the page with every block of options as it has to be."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{options_of(block['command'])}\n{block[3]}", text)


def options_of(words: str) -> str:
    """How a command such as `keys new` is written, and a table of what it takes."""
    command = typer.main.get_command(application())
    for word in words.split()[1:]:
        command = command.get_command(typer.Context(command), word)
    rows = [row_of(parameter) for parameter in command.params if "--help" not in parameter.opts]
    arguments = [shown_name(one) for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([words, "[OPTIONS]", *arguments])
    return "\n".join([f"`{usage}`", "", "| | | default |", "|---|---|---|", *rows, ""])


def row_of(parameter) -> str:
    """One line of the table."""
    about = " ".join((parameter.help or "").split())
    cells = (f"`{shown_name(parameter)}`", about, default_of(parameter))
    row = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {row} |".replace("|  |", "| |")


def shown_name(parameter) -> str:
    """`--port` with all its spellings, or the word that stands for an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names = ", ".join(sorted(parameter.opts, key=len))
    return f"{names} / {parameter.secondary_opts[0]}" if parameter.secondary_opts else names


def default_of(parameter) -> str:
    """What holds when it is left out; nothing for a switch."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if not parameter.show_default or parameter.default in (None, False, True, ""):
        return ""
    return f"`{parameter.default}`"


if __name__ == "__main__":
    PAGE.write_text(with_options(PAGE.read_text()))
