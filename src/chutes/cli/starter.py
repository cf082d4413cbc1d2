"""The files that `chutes new` writes."""

from string import Template

__all__ = ["starter_app", "starter_test"]


def starter_app(name: str, file: str) -> str:
    """The source of a chute called `name` that lives in `file`."""
    return _APP.substitute(name=name, file=file)


def starter_test(module: str) -> str:
    """The source of its test, which imports it from `module`."""
    return _TEST.substitute(module=module)


_APP = Template('''\
"""A chute that summarises text. Serve it with `chutes run $file --reload`."""

import re
from collections import Counter
from collections.abc import AsyncIterator

from chutes import Chute
from fastapi import WebSocket
from pydantic import BaseModel

chute = Chute(
    username="me",
    name="$name",
    image="python:3.11",
    tagline="Finds the sentences that say the most",
    concurrency=8,  # calls that run at once; further ones wait in a queue
)


class Summary(BaseModel):
    summary: str
    sentences: int


# Hooks run once, before the first call. Load models here, and keep them on self.
@chute.on_startup()
async def load(self):
    self.common_words = {"a", "an", "and", "in", "is", "it", "of", "on", "the", "to"}
    self.summaries = 0


# Any function of this file whose first parameter is self can be called as self.ranked(...).
def ranked(self, text: str) -> list[str]:
    def words(part: str) -> list[str]:
        return [word for word in re.findall(r"\\w+", part.lower()) if word not in self.common_words]

    counts = Counter(words(text))
    sentences = re.split(r"(?<=[.!?])\\s+", text.strip())
    return sorted(sentences, key=lambda sentence: -sum(counts[word] for word in words(sentence)))


# A cord is an HTTP endpoint. Its parameters are the fields of the JSON body.
@chute.cord("/summarize")
async def summarize(self, text: str, sentences: int = 1) -> Summary:
    """The sentences of a text that say the most."""
    best = self.ranked(text)[:sentences]
    self.summaries += 1
    return Summary(summary=" ".join(best), sentences=len(best))


# Each value that a streaming cord yields reaches the client at once.
@chute.cord("/rank", stream=True)
async def rank(self, text: str) -> AsyncIterator[dict]:
    """All sentences of a text, the best first, as server-sent events."""
    for place, sentence in enumerate(self.ranked(text), start=1):
        yield {"place": place, "sentence": sentence}


@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    """A conversation: a text in, its best sentence out."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(self.ranked(text)[0])


# A job runs in the background: on its schedule, or when it is submitted.
@chute.job(schedule="@hourly")
async def report(self):
    """Log how many texts were summarised."""
    self.logger.info("%d summaries so far", self.summaries)
    return {"summaries": self.summaries}


if __name__ == "__main__":
    chute.run_local(host="127.0.0.1")
''')

_TEST = Template('''\
"""Tests of the chute: they run it in this process, without a port. Run them with `pytest`."""

from $module import chute
from chutes.testing import TestClient

TEXT = "Bats fly at night. Bats hear their way at night, by the echo. They sleep by day."


def test_the_summary_is_the_sentence_that_says_the_most():
    with TestClient(chute) as client:
        answer = client.post("/summarize", json={"text": TEXT})

    assert answer.status_code == 200
    assert answer.json() == {"summary": "Bats hear their way at night, by the echo.", "sentences": 1}


def test_a_missing_text_is_refused():
    with TestClient(chute) as client:
        assert client.post("/summarize", json={}).status_code == 422


def test_the_sentences_come_one_by_one():
    with TestClient(chute) as client, client.stream("POST", "/rank", json={"text": TEXT}) as answer:
        events = [line for line in answer.iter_lines() if line.startswith("data:")]

    assert len(events) == 3
''')
