"""Input and output that are described by schemas, and checked by them."""

from pydantic import BaseModel, Field
from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="schemas", image="python:3.11")


class Wish(BaseModel):
    subject: str = Field(..., description="What the poem is about")
    words: int = Field(20, ge=1, le=200)
    mood: float = Field(0.5, ge=0.0, le=1.0)


class ShortWish(BaseModel):
    subject: str = "the sea"


class Poem(BaseModel):
    text: str = Field(..., description="The poem")
    words: int = Field(..., description="How long it became")


@chute.on_startup()
async def load(self):
    self.model = Echo()


@chute.cord(
    public_api_path="/poem",
    method="POST",
    input_schema=Wish,
    output_schema=Poem,
    minimal_input_schema=ShortWish,
)
async def poem(self, wish: Wish) -> Poem:
    """Writes a poem."""
    text = await self.model.answer(wish.subject, words=wish.words)
    return Poem(text=text, words=len(text.split()))


@chute.cord(public_api_path="/broken", input_schema=ShortWish, output_schema=Poem)
async def broken(self, wish: ShortWish):
    """Returns what its schema does not allow."""
    return {"text": wish.subject}


@chute.cord(public_api_path="/spread", input_schema=Wish)
async def spread(self, subject: str, words: int) -> list:
    """The schema checks, and its fields are the parameters."""
    return [subject, words]
