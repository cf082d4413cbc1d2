"""A container tool that exists only in memory, for tests of what builds images."""

from collections.abc import Sequence
from pathlib import Path

from chutes.build.tool import BuildOrder
from chutes.errors import BuildError

__all__ = ["FakeContainerTool"]


class FakeContainerTool:
    """A `ContainerTool` that builds nothing and remembers what it was asked for.

    Attributes:
        orders: the builds so far.
        pushed: the references that were pushed.
        saved: the files that were written, by reference.
        images: the digest of each image that it has.
        refusal: when set, every build and push raises a `BuildError` with this text.
    """

    def __init__(self) -> None:
        self.orders: list[BuildOrder] = []
        self.pushed: list[str] = []
        self.saved: dict[str, Path] = {}
        self.images: dict[str, str] = {}
        self.refusal: str | None = None

    def digest_of(self, reference: str) -> str | None:
        """The digest of an image that was built."""
        return self.images.get(reference)

    def build(self, order: BuildOrder) -> None:
        """Have the image from now on."""
        self._refuse()
        self.orders.append(order)
        self.images |= dict.fromkeys(order.references, order.digest)

    def push(self, reference: str, arguments: Sequence[str] = ()) -> None:
        """Remember the reference."""
        self._refuse()
        self.pushed.append(reference)

    def save(self, reference: str, file: Path) -> None:
        """Write the digest into the file."""
        file.write_text(self.images[reference], encoding="utf-8")
        self.saved[reference] = file

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise BuildError(self.refusal)
