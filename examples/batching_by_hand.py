"""Batching by hand: many requests, one call of the model.

A model that takes sixteen inputs in little more time than one is best fed in batches. Each request puts its
input and a future into a queue; one background task collects what is there, calls the model once, and gives
each request its own answer. The model here is small but real: it tells the language of a text by its letters.

Run it:   python examples/batching_by_hand.py
Ask it:   curl -s 127.0.0.1:8000/language -H 'Content-Type: application/json' \\
               -d '{"text": "Où est la gare ?"}'
"""

import asyncio
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import HTTPException
from pydantic import BaseModel, Field

from chutes.chute import Chute

BATCH_SIZE = 16
GATHERING_SECONDS = 0.005

# Five sentences each are enough to tell these languages apart in a sentence of a few words.
SAMPLES = {
    "en": (
        "The weather is nice today and we are going for a walk with the dog. Where did you put the keys "
        "of the house? I would like a cup of tea, please. They have been living in this town for ten "
        "years. What is the price of that?"
    ),
    "de": (
        "Das Wetter ist heute schön und wir gehen mit dem Hund spazieren. Wo hast du die Schlüssel des "
        "Hauses? Ich möchte bitte eine Tasse Tee. Sie wohnen seit zehn Jahren in dieser Stadt. Was kostet "
        "das und wer ist da?"
    ),
    "fr": (
        "Il fait beau aujourd'hui et nous allons nous promener avec le chien. Où as-tu mis les clés de la "
        "maison ? Je voudrais une tasse de thé, s'il vous plaît. Ils habitent dans cette ville depuis dix "
        "ans. Quel est le prix ?"
    ),
    "es": (
        "Hoy hace buen tiempo y vamos a dar un paseo con el perro. ¿Dónde has puesto las llaves de la "
        "casa? Quisiera una taza de té, por favor. Viven en esta ciudad desde hace diez años. ¿Cuánto "
        "cuesta eso y quién es?"
    ),
    "it": (
        "Oggi il tempo è bello e andiamo a fare una passeggiata con il cane. Dove hai messo le chiavi "
        "della casa? Vorrei una tazza di tè, per favore. Abitano in questa città da dieci anni. Quanto "
        "costa questo e chi è?"
    ),
    "nl": (
        "Het weer is mooi vandaag en we gaan met de hond wandelen. Waar heb je de sleutels van het huis "
        "gelegd? Ik wil graag een kopje thee. Zij wonen al tien jaar in deze stad. Wat kost dat en wie is "
        "daar met jou?"
    ),
}


class LanguageModel:
    """Naive Bayes over hashed letter trigrams: one matrix product answers a whole batch."""

    BUCKETS = 4096

    def __init__(self, samples: dict[str, str]) -> None:
        self.languages = list(samples)
        counts = np.stack([self._trigrams(text) for text in samples.values()]) + 0.1
        self._log_probabilities = np.log(counts / counts.sum(axis=1, keepdims=True)).T

    def predict(self, texts: list[str]) -> list[dict[str, float]]:
        """Return the probability of each language for each text.

        Raises:
            ValueError: a text has no letters.
        """
        counts = np.stack([self._trigrams(text) for text in texts])
        scores = counts @ self._log_probabilities
        likelihoods = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = likelihoods / likelihoods.sum(axis=1, keepdims=True)
        return [dict(zip(self.languages, row, strict=True)) for row in probabilities.tolist()]

    def _trigrams(self, text: str) -> np.ndarray:
        words = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
        if not words:
            raise ValueError("The text has no letters, so it has no language.")
        joined = f" {' '.join(words)} "
        trigrams = [joined[start : start + 3] for start in range(len(joined) - 2)]
        buckets = [zlib.crc32(trigram.encode()) % self.BUCKETS for trigram in trigrams]
        return np.bincount(buckets, minlength=self.BUCKETS).astype(float)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request in the queue: what it asked, and where its answer goes."""

    text: str
    answer: asyncio.Future[dict[str, float]]


class Language(BaseModel):
    language: str
    probability: float


class Problem(BaseModel):
    detail: str


chute = Chute(
    username="examples",
    name="batching-by-hand",
    image="python:3.11",
    tagline="Tell the language of a text, in batches",
    # Only requests that run at the same time can share a batch, so this must not be below the batch size.
    concurrency=4 * BATCH_SIZE,
)


@chute.on_startup()
async def start_batching(self):
    self.model = LanguageModel(SAMPLES)
    # Admission bounds this queue: there are never more entries than calls that run.
    self.queue = asyncio.Queue()
    self.batch_sizes = deque(maxlen=1000)
    # The reference matters: the event loop alone would let the task be collected as garbage.
    self.batcher = asyncio.create_task(self.process_batches())


@chute.on_shutdown()
async def stop_batching(self):
    self.batcher.cancel()


async def process_batches(self) -> None:
    """Collect requests and answer them, for as long as the chute runs."""
    while True:
        batch = [await self.queue.get()]
        # The first request opens the batch. Others get a moment to join, unless there are enough already.
        if self.queue.qsize() < BATCH_SIZE - 1:
            await asyncio.sleep(GATHERING_SECONDS)
        while len(batch) < BATCH_SIZE and not self.queue.empty():
            batch.append(self.queue.get_nowait())
        # A cancelled future belongs to a request that nobody waits for any more.
        batch = [waiting for waiting in batch if not waiting.answer.done()]
        if batch:
            self.batch_sizes.append(len(batch))
            await self.answer(batch)


async def answer(self, batch: list[Waiting]) -> None:
    """Give every request of the batch its result or its error; what is raised here would end the batching."""
    try:
        # The model computes in a thread: the loop goes on taking requests, which form the next batch.
        results = await asyncio.to_thread(self.model.predict, [waiting.text for waiting in batch])
    except Exception as error:  # noqa: BLE001 - whatever the model raises belongs to the client that asked
        if len(batch) == 1:
            settle(batch[0].answer, error)
            return
        # One bad input must not fail its neighbours: ask again for each alone.
        for waiting in batch:
            await self.answer([waiting])
    else:
        for waiting, result in zip(batch, results, strict=True):
            settle(waiting.answer, result)


def settle(future: asyncio.Future, outcome: dict[str, float] | Exception) -> None:
    # The request may have been cancelled while the model was busy; setting its future would raise.
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


@chute.cord(
    "/language",
    output_schema=Language,
    responses={400: {"model": Problem, "description": "The text has no letters."}},
)
async def language(self, text: Annotated[str, Field(min_length=1, max_length=5000)]) -> Language:
    """The language of a text: English, German, French, Spanish, Italian or Dutch."""
    future = asyncio.get_running_loop().create_future()
    self.queue.put_nowait(Waiting(text, future))
    try:
        probabilities = await future
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    best = max(probabilities, key=probabilities.get)
    return Language(language=best, probability=round(probabilities[best], 4))


@chute.cord("/stats", method="GET")
async def stats(self) -> dict:
    """How well the last 1,000 batches were filled."""
    sizes = self.batch_sizes
    mean = round(sum(sizes) / len(sizes), 2) if sizes else None
    return {"batches": len(sizes), "mean_size": mean, "largest": max(sizes, default=0)}


if __name__ == "__main__":
    chute.run_local(host="127.0.0.1")
