"""Says once that the database is away, and once that it is back: what is tried each second would fill the log."""

import logging

__all__ = ["Outage"]


class Outage:
    """The outage of one database, as one part of the process meets it.

    Attributes:
        lasts: whether it has begun, and not ended.

    Args:
        logger: where it is said.
        meanwhile: what it means, as a sentence.
        afterwards: what goes on when it is over, as a sentence.
    """

    def __init__(self, logger: logging.Logger, meanwhile: str, afterwards: str) -> None:
        self.lasts = False
        self._logger = logger
        self._meanwhile = meanwhile
        self._afterwards = afterwards

    def begin(self, error: Exception) -> None:
        """Something failed."""
        if not self.lasts:
            self.lasts = True
            self._logger.error("%s %s", error, self._meanwhile)

    def end(self) -> None:
        """Something worked."""
        if self.lasts:
            self.lasts = False
            self._logger.info("The jobs database is back. %s", self._afterwards)
