"""How far a request got on its way out."""

from collections.abc import Mapping

__all__ = ["Progress"]

_FAILED = "send_request_headers.failed"


class Progress:
    """Follows one attempt, as httpx2's `trace` extension tells of it; another transport may tell nothing.

    Attributes:
        broke_in_head: the connection broke before the head was written: the chute has no whole request.
    """

    def __init__(self) -> None:
        self.broke_in_head = False

    def note(self, event: str, _details: Mapping[str, object]) -> None:
        """Hear of a step, in the sync client."""
        self.broke_in_head = self.broke_in_head or event.endswith(_FAILED)

    async def anote(self, event: str, details: Mapping[str, object]) -> None:
        """Hear of a step, in the async client."""
        self.note(event, details)
