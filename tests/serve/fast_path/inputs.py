"""Cords that take their input in every form that one JSON body can have, and what each may be sent."""

import dataclasses
import datetime
import decimal
import enum
import types
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NotRequired, TypeVar

from fastapi import Body
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    computed_field,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from serve.fast_path.twins import shown

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Plain(BaseModel):
    text: str
    count: int = 1


class Bounded(BaseModel):
    text: str = Field(min_length=2, max_length=5, pattern="^[a-z]+$")
    count: int = Field(default=1, ge=1, le=10)
    ratio: float = Field(default=0.5, gt=0, lt=1, allow_inf_nan=False)


class Aliased(BaseModel):
    text: str = Field(alias="the text")
    count: int = Field(default=1, validation_alias=AliasChoices("n", "count"))
    deep: int = Field(default=0, validation_alias=AliasPath("inner", "count"))


class EitherName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    text: str = Field(alias="the text")


class Checked(BaseModel):
    text: str
    count: int = 1

    @field_validator("text", mode="before")
    @classmethod
    def from_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def not_too_many(self) -> "Checked":
        if self.count > len(self.text):
            raise ValueError("too many")
        return self


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    text: str = "open"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    text: str = ""
    count: int = 1
    ratio: float = 0.5
    when: datetime.datetime | None = None
    raw: bytes | None = None
    kind: Colour | None = None
    pair: tuple[int, str] | None = None


class Rich(BaseModel):
    when: datetime.datetime | None = None
    day: datetime.date | None = None
    span: datetime.timedelta | None = None
    amount: decimal.Decimal | None = None
    number: int | float | bool | str | None = None
    either: datetime.date | uuid.UUID | bytes | str | None = None
    raw: bytes = b""
    kind: Colour = Colour.RED
    level: Level = Level.LOW
    word: Literal["a", "b", 1, None] = "a"
    link: AnyUrl | None = None
    secret: SecretStr = SecretStr("x")
    unique: set[int] = set()
    pair: tuple[int, str] = (1, "a")
    anything: Any = None


class Nested(BaseModel):
    inner: Plain
    items: list[Bounded] = Field(default_factory=list, max_length=3)
    by_name: dict[str, Closed] = {}

    @computed_field
    @property
    def size(self) -> int:
        return len(self.items)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    text: str = "wuff"


class Box(BaseModel, Generic[T]):
    inner: T


class Names(RootModel[list[str]]):
    pass


@dataclass
class Record:
    text: str
    count: int = 1
    items: list[int] = field(default_factory=list)


class Typed(TypedDict):
    text: str
    count: NotRequired[int]


def _louder(value: Any) -> Any:
    return value.model_copy(update={"text": value.text.upper()})


def _refused(value: Any) -> Any:
    if isinstance(value, dict) and value.get("count") == 0:
        raise ValueError("no")
    return value


WHOLE: Mapping[str, Any] = {
    "plain": Plain,
    "bounded": Bounded,
    "aliased": Aliased,
    "either_name": EitherName,
    "checked": Checked,
    "closed": Closed,
    "open": Open,
    "strict": Strict,
    "rich": Rich,
    "nested": Nested,
    "box": Box[Plain],
    "names": Names,
    "record": Record,
    "typed": Typed,
    "union": Plain | Closed,
    "optional": Plain | None,
    "pets": Annotated[Cat | Dog, Body(discriminator="kind")],
    "marked_after": Annotated[Plain, AfterValidator(_louder)],
    "marked_before": Annotated[Plain, BeforeValidator(_refused)],
    "mapping": dict,
    "numbers": dict[str, int],
    "marked_mapping": Annotated[dict, Field(min_length=1)],
}
"""Annotations of one parameter that takes the whole body; FastAPI alone takes them too."""

SHORT_WHOLE = frozenset(WHOLE) - {"pets"}
"""Those with a short way; the others are placed by a marker of FastAPI's."""


def whole(annotation: Any, default: Any = dataclasses.MISSING) -> Callable[..., Any]:
    """A cord's function that shows its one parameter."""

    async def show(self: Any, item: Any) -> Any:
        self.seen.append(shown(item))
        return repr(item)

    show.__annotations__["item"] = annotation
    if default is not dataclasses.MISSING:
        show.__defaults__ = (default,)
    return show


async def by_name(self: Any, text: str, count: int = 1, ratio: float | None = None) -> Any:
    self.seen.append([shown(value) for value in (text, count, ratio)])
    return {"text": text, "count": count}


async def renamed(self: Any, json: str, _count: int = 1, copy: bool = False, model_dump: Any = None) -> Any:
    self.seen.append([shown(value) for value in (json, _count, copy, model_dump)])
    return json


async def described(
    self: Any,
    text: Annotated[str, Field(min_length=2)],
    count: int = Field(default=3, ge=1, le=10, alias="n"),
    items: list[int] = Field(default_factory=list),
) -> Any:
    items.append(1)
    self.seen.append([shown(value) for value in (text, count, items)])
    return items


async def mixed(self: Any, inner: Plain, kind: Colour, /, *, when: datetime.datetime | None = None) -> Any:
    self.seen.append([shown(value) for value in (inner, kind, when)])
    return inner


async def all_default(
    self: Any, text: str = "a", items: list[int] = [1, 2], inner: Plain = Plain(text="x")
) -> Any:
    items.append(3)
    inner.count += 1
    self.seen.append([shown(value) for value in (text, items, inner)])
    return items


async def spread(self: Any, text: str, count: int, unknown: str = "left alone") -> Any:
    self.seen.append([shown(value) for value in (text, count, unknown)])
    return count


async def dumped(self: Any, data: dict) -> Any:
    self.seen.append(shown(data))
    return data


async def defaulted(self: Any, item: Plain = Plain(text="default")) -> Any:
    item.count += 1
    self.seen.append(shown(item))
    return item


async def a_list(self: Any, items: list[Plain]) -> Any:
    self.seen.append(shown(items))
    return len(items)


async def nothing(self: Any) -> Any:
    self.seen.append("called")
    return "nothing"


def threaded(self: Any, text: str, count: int = 1) -> Any:
    self.seen.append([shown(value) for value in (text, count)])
    return [text] * min(count, 3)


OTHERS: Mapping[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "by_name": (by_name, {}),
    "renamed": (renamed, {}),
    "described": (described, {}),
    "mixed": (mixed, {}),
    "all_default": (all_default, {}),
    "spread": (spread, {"input_schema": Plain}),
    "spread_bounds": (spread, {"input_schema": Bounded}),
    "spread_aliased": (spread, {"input_schema": Aliased}),
    "spread_typed": (spread, {"input_schema": Typed}),
    "spread_record": (spread, {"input_schema": Record}),
    "dumped": (dumped, {"input_schema": Rich}),
    "same": (whole(Plain), {"input_schema": Plain}),
    "defaulted": (defaulted, {}),
    "nullable": (whole(Plain | None, None), {}),
    "a_list": (a_list, {"input_schema": list[Plain]}),
    "nothing": (nothing, {}),
    "threaded": (threaded, {}),
}
"""The other forms: functions, and the options of their cords."""

FORMS = (*WHOLE, *OTHERS)


def define(chute: Any) -> None:
    """Give the chute a cord of every form, each under its name."""
    for name, annotation in WHOLE.items():
        chute.cord(f"/{name}")(named(name, whole(annotation)))
    for name, (function, options) in OTHERS.items():
        chute.cord(f"/{name}", **options)(named(name, function))


def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function once more under its own name: two of one name would be one cord in the metrics."""
    copy = types.FunctionType(
        function.__code__, function.__globals__, name, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, dict(function.__annotations__)
    return copy
