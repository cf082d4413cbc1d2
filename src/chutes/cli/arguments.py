"""The argument that names a chute, which several commands take."""

from typing import Annotated

import typer

__all__ = ["Reference"]

Reference = Annotated[
    str,
    typer.Argument(
        metavar="CHUTE",
        help="The file or module of the chute, such as app.py or package.app; with :name when it has several.",
        show_default=False,
    ),
]
