"""Exceptions that escape from an application under test."""

import asyncio
import logging

import httpx2

from chutes.serve.streaming import StreamAborted

__all__ = ["log_escape", "origin"]

_logger = logging.getLogger("chutes.testing")


def origin(error: BaseException | None) -> BaseException | None:
    """The exception of the user's code; a chute cuts a stream by one of its own, which has it as its cause."""
    return error.__cause__ if isinstance(error, StreamAborted) else error


def log_escape(error: BaseException, request: httpx2.Request, *, client_left: bool) -> None:
    """Log what a server would log."""
    if isinstance(error, StreamAborted):
        # The chute has logged the cause already.
        return
    if not (client_left and isinstance(error, asyncio.CancelledError | ConnectionResetError)):
        _logger.error("The application failed: %s %s", request.method, request.url, exc_info=error)
