"""What every server reads, does and answers."""

import time

from pydantic import BaseModel, Field

CONCURRENCY = 64
SLEEP_SECONDS = 0.010
CALL_SECONDS = 0.05
OTHER_ROUTES = 50
MAX_BATCH = 16
MAX_WAIT = 0.005
TOKENS = [f"token {number}" for number in range(200)]


class Prompt(BaseModel):
    prompt: str = Field(min_length=1, max_length=10000)
    max_tokens: int = Field(default=100, ge=1, le=4096)
    temperature: float = Field(default=0.7, ge=0.0, le=2.0)


class Answer(BaseModel):
    generated_text: str
    tokens_used: int


class Call(BaseModel):
    id: str


class Number(BaseModel):
    x: float


def answer(prompt: str) -> Answer:
    return Answer(generated_text="echo: " + prompt, tokens_used=len(prompt.split()))


def answer_dict(prompt: str) -> dict:
    return {"generated_text": "echo: " + prompt, "tokens_used": len(prompt.split())}


def run_batch(numbers: list[float]) -> list[float]:
    """A model that works 5 ms and 0.1 ms for each item, without the interpreter's lock, as one on a GPU does."""
    time.sleep(0.005 + 0.0001 * len(numbers))
    return [number * 2.0 for number in numbers]
