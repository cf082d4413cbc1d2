"""Cords that take their input from the query, in every form that a parameter can have."""

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, Json

from serve.fast_path.twins import shown


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Filter(BaseModel):
    text: str = "any"
    count: int = Field(default=1, ge=0)
    items: list[int] = []


@dataclass
class Record:
    text: str
    count: int = 1


class Counter:
    """Counts how often a default is made."""

    made = 0

    @classmethod
    def next(cls) -> int:
        """The next number."""
        cls.made += 1
        return cls.made


HINTS: Mapping[str, Any] = {
    "text": str,
    "count": int,
    "ratio": float,
    "flag": bool,
    "colour": Colour,
    "when": datetime.datetime,
    "day": datetime.date,
    "amount": decimal.Decimal,
    "unknown": uuid.UUID,
    "word": Literal["a", "b"],
    "raw": bytes,
    "anything": Any,
    "number": int | float | str,
    "either": int | None,
    "bounded": Annotated[int, Field(ge=1, le=9)],
    "before": Annotated[str, BeforeValidator(str.upper)],
    "tags": list[str],
    "items": set[int],
    "pair": tuple[int, str],
    "maybe_list": str | list[str],
    "optional_list": list[int] | None,
    "model": Filter,
    "record": Record,
    "mapping": dict,
    "object": Json,
}


def one(annotation: Any, default: Any) -> Callable[..., Any]:
    """A cord's function with one parameter, named so that the requests of the gallery hit it."""

    async def show(self: Any, count: Any) -> Any:
        self.seen.append(shown(count))
        return repr(count)

    show.__annotations__["count"] = annotation
    if default is not ...:
        show.__defaults__ = (default,)
    return show


async def several(
    self: Any,
    text: str,
    count: int = 1,
    flag: bool = False,
    colour: Colour = Colour.RED,
    when: datetime.date | None = None,
) -> Any:
    self.seen.append([shown(value) for value in (text, count, flag, colour, when)])
    return {"text": text, "count": count, "colour": colour, "when": when}


async def spread(self: Any, item: Filter) -> Any:
    self.seen.append(shown(item))
    return item


async def recorded(self: Any, item: Record | None = None) -> Any:
    self.seen.append(shown(item))
    return item


async def mapped(self: Any, data: dict) -> Any:
    self.seen.append(shown(data))
    return data


async def explicit(
    self: Any,
    count: Annotated[int, Query(alias="n", ge=0, le=9)] = 3,
    text: str = Query("a", max_length=3, pattern="^[a-z]*$"),
    made: int = Query(default_factory=Counter.next),
    checked: int = Query("5", validate_default=True),
    either: str = Query("x", validation_alias=AliasChoices("count", "text")),
) -> Any:
    made_is_an_int = isinstance(made, int)
    self.seen.append([shown(value) for value in (count, text, made_is_an_int, checked, either)])
    return [count, text, checked, either]


async def made_anew(self: Any, made: int = Query(default_factory=Counter.next)) -> Any:
    before, after = made, Counter.next()
    return "anew" if after == before + 1 else "kept"


async def as_a_model(self: Any, item: Annotated[Filter, Query()]) -> Any:
    self.seen.append(shown(item))
    return item


async def beside_the_request(self: Any, request: Request, text: str = "a", count: int = 1) -> Any:
    self.seen.append((text, count, dict(request.query_params), await request.body()))
    return str(request.url)


async def nothing(self: Any) -> Any:
    self.seen.append("called")


def threaded(self: Any, text: str = "a", *, count: int = 1) -> Any:
    self.seen.append((text, count))
    return [text] * min(max(count, 0), 3)


async def renamed(self: Any, _count: int = 1, json: str = "a", copy: bool = False) -> Any:
    self.seen.append((_count, json, copy))
    return json


FUNCTIONS = (
    several,
    spread,
    recorded,
    mapped,
    explicit,
    made_anew,
    as_a_model,
    beside_the_request,
    nothing,
    threaded,
    renamed,
)
PATHS = (
    *(f"/{function.__name__}" for function in FUNCTIONS),
    *(f"/{kind}/{name}" for name in HINTS for kind in ("needs", "may")),
)


def define(chute: Any) -> None:
    """Give the chute a cord of every form."""
    for function in FUNCTIONS:
        chute.cord(f"/{function.__name__}", method="GET")(function)
    for name, hint in HINTS.items():
        needs, may = one(hint, ...), one(hint | None if isinstance(hint, type) else hint, None)
        needs.__name__, may.__name__ = f"needs_{name}", f"may_{name}"
        chute.cord(f"/needs/{name}", method="GET")(needs)
        chute.cord(f"/may/{name}", method="GET")(may)
