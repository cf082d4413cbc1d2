"""`chutes new`: write a starter chute and its test."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from chutes.cli.reporting import refuse
from chutes.cli.starter import starter_app, starter_test
from chutes.tracebacks import readable

__all__ = ["new"]

_Where = Annotated[
    str,
    typer.Argument(
        metavar="[NAME|PATH]",
        help="A folder to make, or a file that ends with .py; by default app.py in this folder.",
        show_default=False,
    ),
]
_Force = Annotated[bool, typer.Option("--force", help="Write over files that exist.")]


def new(where: _Where = "app.py", *, force: _Force = False) -> None:
    """Write a starter chute that runs, and its test."""
    app = _app_file(where)
    test = app.with_name(f"test_{app.name}")
    taken = [file for file in (app, test) if file.exists()]
    if taken and not force:
        names = " and ".join(readable(file) for file in taken)
        verb = "exists" if len(taken) == 1 else "exist"
        refuse(
            f"{names} {verb} already. Choose another name, for example chutes new my-app, or pass --force."
        )
    try:
        app.parent.mkdir(parents=True, exist_ok=True)
        app.write_text(starter_app(_chute_name(app), app.name), encoding="utf-8")
        test.write_text(starter_test(app.stem), encoding="utf-8")
    except OSError as exc:
        refuse(f"{readable(exc.filename)} cannot be written: {exc.strerror}.")
    typer.echo(_next_steps(app, test))


def _app_file(where: str) -> Path:
    path = Path(where).absolute()
    if path.suffix != ".py":
        return path / "app.py"
    if not path.stem.isidentifier():
        valid = re.sub(r"\W+", "_", path.stem).strip("_") or "app"
        refuse(f"{path.name!r} cannot be imported by a test. Choose for example {valid}.py.")
    return path


def _chute_name(app: Path) -> str:
    """A name for the chute: the file's, or the folder's when the file is called as everybody's."""
    word = app.parent.name if app.stem == "app" else app.stem
    return re.sub(r"[^a-z0-9]+", "-", word.lower())[:63].strip("-") or "my-chute"


def _next_steps(app: Path, test: Path) -> str:
    folder = readable(app.parent)
    steps = [] if folder == "." else [(f"cd {shlex.quote(folder)}", "")]
    steps += [
        (f"chutes run {app.name} --reload", "serve it, and again whenever you save it"),
        ('chutes call summarize text="It rains. It rains on the roof."', "call it, from a second terminal"),
        (f"python -m pytest {test.name}", "test it"),
    ]
    width = max(len(command) for command, _ in steps)
    lines = [f"  {command:<{width}}  {about}".rstrip() for command, about in steps]
    wrote = f"Wrote {readable(app)} and {readable(test)}. Next:"
    return "\n".join([wrote, "", *lines, "", "Its API page is http://127.0.0.1:8000/docs."])
