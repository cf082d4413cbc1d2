"""A semantic search engine in one process: find sentences by what they mean, not by the words they use.

Run it with `python examples/semantic_search/app.py` and open http://127.0.0.1:8000.
"""

import json
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from document_index import Document, DocumentIndex, IndexFullError
from fastapi import HTTPException, Query, UploadFile, WebSocket
from paragraphs import split_paragraphs
from schemas import (
    Added,
    BulkInput,
    Deleted,
    DocumentPage,
    DocumentsInput,
    EmbedInput,
    FoundDocument,
    NewDocument,
    Problem,
    SearchInput,
    SearchOutput,
    Stats,
    StoredDocument,
)

from chutes.chute import Chute

HERE = Path(__file__).parent
MAX_DOCUMENTS = 10_000
MAX_FILE_BYTES = 1024 * 1024
MAX_PARAGRAPHS = 200
STREAM_STEP = 16

NOT_FOUND = {404: {"model": Problem, "description": "There is no such document."}}
FULL = {409: {"model": Problem, "description": "The index is full."}}
BAD_FILE = {
    400: {"model": Problem, "description": "The file has no text that could be read."},
    413: {"model": Problem, "description": "The file is too large."},
    415: {"model": Problem, "description": "The file is neither .txt nor .md."},
}

chute = Chute(
    username="examples",
    name="semantic-search",
    image="python:3.11",
    tagline="Find sentences by what they mean",
    readme="all-MiniLM-L6-v2 on the CPU: add documents, search them, embed text.",
    revision="1.0",
    # A call keeps one core busy for a few milliseconds, in a thread. More calls than cores leave room for
    # searches while bulk uploads hold their places for seconds; what comes on top waits in the chute's queue.
    concurrency=8,
)


@chute.on_startup()
async def load_model(self):
    """Load the model and embed the corpus, so that the first search has something to find."""
    # Imported here, so that looking at this file (`chutes show`, `chutes build`) needs no model library.
    from embedder import Embedder

    self.html = (HERE / "page.html").read_text(encoding="utf-8")
    self.embedder = Embedder()
    self.index = DocumentIndex(Embedder.dimensions, capacity=MAX_DOCUMENTS)
    self.texts_embedded = 0
    self.searches = 0
    lines = (HERE / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    await self.store([NewDocument(**json.loads(line)) for line in lines])
    self.logger.info("Loaded %s with %d documents.", Embedder.model_name, len(self.index))


async def embed_texts(self, texts: Sequence[str]):
    """Embed texts and count them; found by name as `self.embed_texts`."""
    vectors = await self.embedder.embed(texts)
    self.texts_embedded += len(texts)
    return vectors


async def store(self, documents: Sequence[str | NewDocument]) -> list[str]:
    """Embed documents, add them to the index and return their ids."""
    prepared = [as_document(document) for document in documents]
    vectors = await self.embed_texts([document.text for document in prepared])
    self.index.add(prepared, vectors)
    return [document.id for document in prepared]


def as_document(document: str | NewDocument) -> Document:
    if isinstance(document, str):
        return Document(id=uuid.uuid4().hex, text=document, metadata={})
    return Document(id=document.id or uuid.uuid4().hex, text=document.text, metadata=document.metadata)


@chute.cord("/search", input_schema=SearchInput, output_schema=SearchOutput)
async def search(self, query: SearchInput) -> SearchOutput:
    """The documents nearest in meaning to the query, the best first."""
    (vector,) = await self.embed_texts([query.query])
    hits = self.index.search(vector, query.limit, query.min_score)
    self.searches += 1
    return SearchOutput(
        query=query.query,
        searched=len(self.index),
        hits=[
            FoundDocument(
                id=hit.document.id,
                text=hit.document.text,
                metadata=hit.document.metadata,
                score=round(hit.score, 3),
            )
            for hit in hits
        ],
    )


@chute.websocket("/live")
async def live(self, websocket: WebSocket):
    """Search as you type: each text message is a query, each answer its hits."""
    await websocket.accept()
    async for typed in websocket.iter_text():
        if not typed.strip():
            await websocket.send_json({"query": typed, "hits": [], "searched": len(self.index)})
            continue
        # An open connection costs nothing; a search takes its turn among the other calls.
        async with self.slot():
            answer = await self.search(SearchInput(query=typed[:1000], limit=8))
        await websocket.send_text(answer.model_dump_json())


@chute.cord("/embed", input_schema=EmbedInput)
async def embed(self, request: EmbedInput) -> dict[str, Any]:
    """Vectors of length 1, one for each text: their dot product is the similarity of the texts."""
    texts = [request.texts] if isinstance(request.texts, str) else request.texts
    vectors = await self.embed_texts(texts)
    # A NumPy array becomes nested lists in the answer.
    return {"model": self.embedder.model_name, "dimensions": self.embedder.dimensions, "vectors": vectors}


@chute.cord("/documents", input_schema=DocumentsInput, output_schema=Added, responses=FULL)
async def add_documents(self, request: DocumentsInput) -> Added:
    """Add documents: plain texts, or objects with an id and metadata of your own."""
    return await self.add(request.documents)


async def add(self, documents: Sequence[str | NewDocument]) -> Added:
    try:
        ids = await self.store(documents)
    except IndexFullError as exc:
        raise HTTPException(409, str(exc)) from exc
    return Added(ids=ids, documents=len(self.index))


@chute.cord("/documents/stream", stream=True, input_schema=BulkInput)
async def add_many(self, request: BulkInput) -> AsyncIterator[dict[str, Any]]:
    """Add up to 1,000 documents and report each step. A client that leaves stops it; what is stored stays."""
    total = len(request.documents)
    for start in range(0, total, STREAM_STEP):
        step = request.documents[start : start + STREAM_STEP]
        try:
            ids = await self.store(step)
        except IndexFullError as exc:
            # The answer is under way with status 200, so the trouble is told as an event.
            yield {"error": str(exc), "stored": start, "total": total}
            return
        yield {"stored": start + len(step), "total": total, "ids": ids}
    yield {"done": True, "documents": len(self.index)}


@chute.cord("/documents/file", output_schema=Added, responses=BAD_FILE | FULL)
async def add_file(self, file: UploadFile) -> Added:
    """Add the paragraphs of a .txt or .md file in UTF-8, up to 1 MiB."""
    name = file.filename or ""
    if not name.lower().endswith((".txt", ".md")):
        raise HTTPException(415, "Send a file whose name ends in .txt or .md.")
    content = await file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise HTTPException(413, f"A file has at most {MAX_FILE_BYTES} bytes.")
    try:
        paragraphs = split_paragraphs(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise HTTPException(400, "The file is not UTF-8 text.") from None
    if not paragraphs:
        raise HTTPException(400, "The file has no text.")
    if len(paragraphs) > MAX_PARAGRAPHS:
        raise HTTPException(
            413, f"A file has at most {MAX_PARAGRAPHS} paragraphs; this has {len(paragraphs)}."
        )
    return await self.add(
        [
            NewDocument(text=text, metadata={"file": name[:200], "paragraph": number})
            for number, text in enumerate(paragraphs, start=1)
        ]
    )


@chute.cord("/documents", method="GET", output_schema=DocumentPage)
async def list_documents(
    self, offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> DocumentPage:
    """The documents, the oldest first."""
    documents = self.index.documents
    return DocumentPage(
        documents=[
            StoredDocument(id=document.id, text=document.text, metadata=document.metadata)
            for document in documents[offset : offset + limit]
        ],
        total=len(documents),
        offset=offset,
    )


@chute.cord("/documents/{document_id}", method="DELETE", output_schema=Deleted, responses=NOT_FOUND)
async def delete_document(self, document_id: str) -> Deleted:
    """Remove a document."""
    if not self.index.remove(document_id):
        raise HTTPException(404, f"There is no document {document_id!r}.")
    return Deleted(id=document_id, documents=len(self.index))


@chute.cord("/stats", method="GET", output_schema=Stats)
async def stats(self) -> Stats:
    """What the chute holds and has done since it started."""
    return Stats(
        model=self.embedder.model_name,
        dimensions=self.embedder.dimensions,
        documents=len(self.index),
        capacity=self.index.capacity,
        texts_embedded=self.texts_embedded,
        searches=self.searches,
    )


@chute.cord("/", method="GET", output_content_type="text/html", include_in_schema=False)
async def page(self) -> str:
    """The search page: plain HTML that talks to /live."""
    return self.html


if __name__ == "__main__":
    chute.run_local(host="127.0.0.1", reload=False)
