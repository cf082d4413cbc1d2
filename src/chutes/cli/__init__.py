"""The command line: the one part that prints."""

from chutes.cli.commands import application, main

__all__ = ["application", "main"]
