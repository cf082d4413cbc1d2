"""Every form of argument and of answer, so that the description of each can be held against what is served."""

import dataclasses
import datetime
import decimal
import enum
import typing
import uuid
from typing import Annotated, Literal

from fastapi import (
    Body,
    Cookie,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
)
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from chutes import Chute

chute = Chute(
    username="me", name="wide", image="python:3.11", concurrency=32, tagline="All forms", revision="1.2"
)


class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


class Point(BaseModel):
    x: float = Field(0.0, ge=-10, le=10)
    y: float = 0.0


class Drawing(BaseModel):
    title: str = Field(min_length=1, max_length=30, description="What it shows")
    points: list[Point] = Field(default_factory=list, max_length=5)
    mood: Mood = Mood.CALM
    parent: "Drawing | None" = None
    made: datetime.datetime | None = None
    labels: dict[str, int] = {}


class Short(BaseModel):
    title: str = "a line"


class Outcome(BaseModel):
    title: str
    count: int


@dataclasses.dataclass
class Size:
    width: int
    height: int = 1


class Options(TypedDict):
    quality: int


@chute.cord("/names")
async def names(
    self, title: str, count: int = 1, share: float | None = None, mood: Mood = Mood.CALM
) -> dict[str, typing.Any]:
    return {"title": title, "count": count, "share": share, "mood": mood}


@chute.cord("/model")
async def model(self, drawing: Drawing) -> Drawing:
    return drawing


@chute.cord("/schemas", input_schema=Drawing, output_schema=Outcome, minimal_input_schema=Short)
async def schemas(self, drawing: Drawing):
    return {"title": drawing.title, "count": len(drawing.points)}


@chute.cord("/spread", input_schema=Drawing)
async def spread(self, title: str, mood: Mood) -> str:
    return f"{title} {mood.value}"


@chute.cord("/anything")
async def anything(self, data: dict) -> int:
    return len(data)


@chute.cord("/dataclass", method="PUT")
async def with_dataclass(self, size: Size) -> Size:
    return size


@chute.cord("/typed-dict", method="PATCH")
async def with_typed_dict(self, options: Options) -> int:
    return options["quality"]


@chute.cord("/two-models")
async def two_models(self, drawing: Drawing, size: Size) -> list[str | int]:
    return [drawing.title, size.width]


@chute.cord("/types")
async def types(
    self,
    key: uuid.UUID,
    day: datetime.date,
    price: Annotated[decimal.Decimal, Field(max_digits=6, decimal_places=2)],
    kind: Literal["a", "b"],
    pair: tuple[int, str],
    choice: int | str,
) -> dict[str, str]:
    return {
        "key": str(key),
        "day": str(day),
        "price": str(price),
        "kind": kind,
        "pair": str(pair),
        "choice": str(choice),
    }


@chute.cord("/nothing")
async def nothing(self) -> None:
    return None


@chute.cord("/body")
async def body(self, text: Annotated[str, Body(embed=True, max_length=5)]) -> str:
    return text


@chute.cord("/query", method="GET")
async def query(
    self, text: str = "", count: int = 0, flags: list[bool] | None = None, mood: Mood = Mood.CALM
) -> list[typing.Any]:
    return [text, count, flags, mood]


@chute.cord("/query-model", method="GET")
async def query_model(self, size: Size) -> Size:
    return size


@chute.cord("/query-limits", method="DELETE")
async def query_limits(self, page: Annotated[int, Query(ge=1, le=9)] = 1) -> int:
    return page


@chute.cord("/things/{number}/{name}", method="GET")
async def thing(self, number: Annotated[int, Path(ge=0, le=1000)], name: str) -> list[int | str]:
    return [number, name]


@chute.cord("/things/{number}", method="PUT")
async def put_thing(self, number: int, drawing: Drawing) -> str:
    return drawing.title


@chute.cord("/injected")
async def injected(
    self,
    request: Request,
    response: Response,
    text: str,
    x_number: Annotated[int, Header()] = 0,
    session: Annotated[str, Cookie()] = "",
) -> str:
    response.headers["X-Method"] = request.method
    return f"{text} {x_number} {session}"


@chute.cord("/form")
async def form(self, text: Annotated[str, Form()], count: Annotated[int, Form(ge=0)] = 0) -> list[str | int]:
    return [text, count]


@chute.cord("/upload")
async def upload(self, document: UploadFile, note: str = "") -> int:
    return len(await document.read())


@chute.cord("/uploads")
async def uploads(self, documents: Annotated[list[UploadFile], File()]) -> int:
    return len(documents)


@chute.cord("/events", stream=True)
async def events(self, count: Annotated[int, Field(ge=0, le=5)] = 2) -> typing.AsyncIterator[dict]:
    for n in range(count):
        yield {"n": n}


@chute.cord("/text-stream", stream=True)
async def text_stream(self, word: str = "hi") -> typing.AsyncIterator[str]:
    for _ in range(3):
        yield word


@chute.cord("/bytes-stream", stream=True, output_content_type="audio/wav", method="GET")
def bytes_stream(self):
    yield b"RIFF"
    yield b"...."


@chute.cord("/image", output_content_type="image/png")
async def image(self, width: Annotated[int, Field(ge=1, le=8)] = 1):
    from PIL import Image

    return Image.new("L", (width, width))


@chute.cord("/page", method="GET", output_content_type="text/html")
async def page(self, name: str = "you"):
    return f"<p>{len(name)}</p>"


@chute.cord("/arrays")
async def arrays(self, values: list[float]):
    import numpy as np

    return np.array(values[:3], dtype=np.float64)


@chute.cord("/either")
async def either(self, text: str) -> str:
    return text


@chute.cord("/either", stream=True)
async def either_in_parts(self, text: str) -> typing.AsyncIterator[dict]:
    yield {"text": text}


@chute.cord("/teapot", responses={418: {"description": "Short and stout"}})
async def teapot(self, sugar: bool = False) -> str:
    if sugar:
        raise HTTPException(418, "No sugar here.")
    return "tea"


@chute.cord("/made", status_code=201, tags=["things"], summary="Make one")
def made(self, size: Size) -> Size:
    return size
