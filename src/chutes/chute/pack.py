"""The public SDK's wrapper around a template's chute."""

from chutes.chute.chute import Chute

__all__ = ["ChutePack"]


class ChutePack:
    """What holds a template's chute in the public SDK; here a template returns the chute itself."""

    def __init__(self, chute: Chute) -> None:
        self.chute = chute
