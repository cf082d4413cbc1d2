"""What the semantic-search chute takes and answers, with the bounds of every input."""

from typing import Annotated

from pydantic import BaseModel, Field

__all__ = [
    "Added",
    "BulkInput",
    "Deleted",
    "DocumentPage",
    "DocumentsInput",
    "EmbedInput",
    "FoundDocument",
    "NewDocument",
    "Problem",
    "SearchInput",
    "SearchOutput",
    "Stats",
    "StoredDocument",
]

# The pattern asks for something to read: white space alone has no meaning to search for.
Text = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\S")]
DocumentId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=500)] | int | Number | bool | None
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]


class NewDocument(BaseModel):
    text: Text
    id: DocumentId | None = Field(
        default=None, description="Made up when absent; a known one replaces its text."
    )
    metadata: Metadata = Field(default_factory=dict)


class DocumentsInput(BaseModel):
    documents: list[Text | NewDocument] = Field(min_length=1, max_length=100)


class BulkInput(BaseModel):
    documents: list[Text | NewDocument] = Field(min_length=1, max_length=1000)


class SearchInput(BaseModel):
    query: Text
    limit: int = Field(default=5, ge=1, le=50)
    min_score: float = Field(default=0.0, ge=-1, le=1, description="1: the same meaning; about 0: unrelated.")


class EmbedInput(BaseModel):
    texts: Text | Annotated[list[Text], Field(min_length=1, max_length=64)]


class StoredDocument(BaseModel):
    id: str
    text: str
    metadata: Metadata


class FoundDocument(StoredDocument):
    score: float


class SearchOutput(BaseModel):
    query: str
    hits: list[FoundDocument]
    searched: int = Field(description="How many documents were compared.")


class Added(BaseModel):
    ids: list[str]
    documents: int = Field(description="How many documents there are now.")


class Deleted(BaseModel):
    id: str
    documents: int


class DocumentPage(BaseModel):
    documents: list[StoredDocument]
    total: int
    offset: int


class Stats(BaseModel):
    model: str
    dimensions: int
    documents: int
    capacity: int
    texts_embedded: int
    searches: int


class Problem(BaseModel):
    detail: str
