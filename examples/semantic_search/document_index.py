"""Documents with their vectors, in memory, searched by one matrix product."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Document", "DocumentIndex", "Hit", "IndexFullError"]


class IndexFullError(Exception):
    """The documents would not fit; none of them was added."""


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    text: str
    metadata: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Hit:
    document: Document
    score: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the index holds at one moment: row i of `vectors` belongs to document i."""

    documents: tuple[Document, ...]
    vectors: np.ndarray


class DocumentIndex:
    """Up to `capacity` documents, each with a unit vector of `dimensions` numbers.

    A change builds a new snapshot and puts it in place with one assignment, so a search that runs meanwhile
    in another thread sees all of the change or nothing of it, and never waits. Copying 10,000 vectors takes a
    few milliseconds, about as much as embedding one document.
    """

    def __init__(self, dimensions: int, capacity: int) -> None:
        self.capacity = capacity
        self._changing = threading.Lock()
        self._snapshot = Snapshot((), np.empty((0, dimensions), dtype=np.float32))

    def __len__(self) -> int:
        return len(self._snapshot.documents)

    @property
    def documents(self) -> tuple[Document, ...]:
        """All documents, the oldest first."""
        return self._snapshot.documents

    def add(self, documents: Sequence[Document], vectors: np.ndarray) -> int:
        """Add documents and return how many there are now; a document whose id is known replaces the old one.

        Raises:
            IndexFullError: there would be more than `capacity`.
        """
        # Within one call, too, the last document of an id counts.
        newest = {document.id: row for row, document in enumerate(documents)}
        rows = list(newest.values())
        with self._changing:
            old = self._snapshot
            kept = [row for row, document in enumerate(old.documents) if document.id not in newest]
            if len(kept) + len(rows) > self.capacity:
                raise IndexFullError(
                    f"The index has {len(old.documents)} of at most {self.capacity} documents."
                )
            self._snapshot = Snapshot(
                tuple(old.documents[row] for row in kept) + tuple(documents[row] for row in rows),
                np.concatenate([old.vectors[kept], vectors[rows]]),
            )
            return len(self._snapshot.documents)

    def remove(self, document_id: str) -> bool:
        """Remove a document; False if there is none of this id."""
        with self._changing:
            old = self._snapshot
            kept = [row for row, document in enumerate(old.documents) if document.id != document_id]
            self._snapshot = Snapshot(tuple(old.documents[row] for row in kept), old.vectors[kept])
            return len(kept) < len(old.documents)

    def search(self, vector: np.ndarray, limit: int, min_score: float = -1.0) -> list[Hit]:
        """Return at most `limit` documents that score `min_score` or more, the best first."""
        snapshot = self._snapshot
        scores = snapshot.vectors @ vector
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(snapshot.documents[row], float(scores[row])) for row in best if scores[row] >= min_score]
