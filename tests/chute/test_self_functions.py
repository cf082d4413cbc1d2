"""`self.<name>`: registered functions, functions with `self` in the module, attributes of the app."""

import asyncio
import functools
import types

import pytest
from fastapi import FastAPI

from chutes.chute import Chute
from chutes.testing import TestClient
from support.serving import new_chute


@pytest.fixture
def chute():
    return Chute(username="acme", name="probe", image="python:3.11")


async def process_batches(self, items):
    return [self.double(item) for item in items]


def double(self, value):
    return value * self.factor


@functools.lru_cache(maxsize=8)
def expensive(self, text):
    self.calls += 1
    return text.upper()


@functools.wraps(double)
def wrapped(*arguments):
    return double(*arguments) + 1


def without_self(text):
    return text


def _private(self):
    return "private"


class NotAFunction:
    def __init__(self, self_=None): ...


def tagline(self):
    return "from the module"


def module(name: str, source: str) -> types.ModuleType:
    made = types.ModuleType(name)
    exec(source, vars(made))  # - a file of the user's
    return made


def test_a_registered_function_is_bound_to_the_chute(chute):
    @chute.cord("/add")
    async def add(self, a: int, b: int = 1):
        return a + b + self.offset

    chute.offset = 10
    assert chute.add.__self__ is chute
    assert asyncio.run(chute.add(1, b=2)) == 13


@pytest.mark.parametrize(
    "decorate",
    [
        lambda chute: chute.cord("/any"),
        lambda chute: chute.job(name="other-name"),
        lambda chute: chute.websocket("/any"),
        lambda chute: chute.on_startup(),
        lambda chute: chute.on_shutdown(),
    ],
    ids=["cord", "job", "websocket", "on_startup", "on_shutdown"],
)
def test_every_decorator_registers_its_function_by_its_name(chute, decorate):
    @decorate(chute)
    async def registered(self):
        return "found"

    assert asyncio.run(chute.registered()) == "found"


def test_functions_of_the_module_take_the_chute(chute):
    chute.factor = 3
    assert chute.double(2) == 6
    assert asyncio.run(chute.process_batches([1, 2])) == [3, 6]


def test_a_cached_function_of_the_module_takes_the_chute_and_stays_cached(chute):
    expensive.cache_clear()
    chute.calls = 0
    assert [chute.expensive("a"), chute.expensive("a")] == ["A", "A"]
    assert chute.calls == 1


def test_a_wrapped_function_of_the_module_takes_the_chute(chute):
    chute.factor = 3
    assert chute.wrapped(2) == 7


@pytest.mark.parametrize("name", ["without_self", "_private", "NotAFunction", "TestClient", "__name__"])
def test_nothing_else_of_the_module_is_found(chute, name):
    with pytest.raises(AttributeError):
        getattr(chute, name)


def test_functions_are_found_in_the_module_where_the_chute_is_made():
    made = module(
        "maker",
        "from chutes.chute import Chute\n"
        "chute = Chute('acme', 'probe', 'python:3.11')\n"
        "def later(self): return 'later'\n",
    )
    assert made.chute.later() == "later"


def test_functions_are_found_in_the_modules_of_the_chutes_functions(chute):
    other = module("other", "async def cord(self): ...\ndef of_the_other_module(self): return 'other'\n")
    with pytest.raises(AttributeError):
        chute.of_the_other_module  # noqa: B018 - reading it is the test
    chute.cord("/other")(other.cord)
    assert chute.of_the_other_module() == "other"


def test_functions_behind_a_decorator_of_a_third_module_are_found_where_they_are_written(chute):
    other = module(
        "other",
        "import functools\n"
        "def decorator(function):\n"
        "    @functools.wraps(function)\n"
        "    def call(*args, **kwargs): return function(*args, **kwargs)\n"
        "    return call\n",
    )

    @chute.cord("/decorated")
    @other.decorator
    def decorated(self):
        return self.double(1)

    chute.factor = 5
    assert chute.decorated() == 5


def test_a_template_finds_the_functions_of_the_file_that_called_it():
    chute = new_chute()
    with pytest.raises(AttributeError):
        chute.double  # noqa: B018 - reading it is the test


def test_a_registered_function_wins_over_the_modules(chute):
    def double(self, value):
        return "registered"

    chute.job()(double)
    assert chute.double(2) == "registered"


def test_state_wins_over_any_function(chute):
    chute.double = "state"
    assert chute.double == "state"


def test_a_function_of_the_module_wins_over_a_constructor_value(chute):
    assert chute.tagline() == "from the module"


def test_constructor_values_can_be_read_as_on_the_public_sdk(chute):
    assert (chute.name, chute.username, chute.concurrency) == ("probe", "acme", 1)
    assert chute.uid == chute.config.uid


def test_what_else_is_asked_for_comes_from_the_app(chute):
    assert chute.router is chute.app.router
    assert chute.openapi()["info"]["title"] == "probe"
    assert isinstance(chute.app, FastAPI)


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("generte", "generate"),
        ("proces_batches", "process_batches"),
        ("add_midleware", "add_middleware"),
        ("concurency", "concurrency"),
        ("modell", "model"),
        ("loger", "logger"),
        ("chute__definition", None),
        ("privat", None),
        ("helth_check", "health_check"),
        ("zzzzzz", None),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_known_one(chute, typo, nearest):
    @chute.cord("/generate")
    async def generate(self): ...

    chute.model = object()
    with pytest.raises(AttributeError) as caught:
        getattr(chute, typo)
    advice = f"Did you mean {nearest!r}?" if nearest else f"Set it in a startup hook: self.{typo} = …"
    assert str(caught.value) == f"The chute has no attribute {typo!r}. {advice}"


def test_hasattr_and_getattr_with_a_default_work(chute):
    assert not hasattr(chute, "model")
    assert getattr(chute, "model", None) is None


def test_a_direct_call_skips_validation(chute):
    @chute.cord("/typed")
    async def typed(self, value: int):
        return value

    assert asyncio.run(chute.typed("no number")) == "no number"


def test_cords_call_cords_and_module_functions_over_http(chute):
    @chute.cord("/inner")
    async def inner(self, value: int):
        return self.double(value)

    @chute.cord("/outer")
    async def outer(self, value: int):
        return [await self.inner(value), await self.process_batches([value])]

    chute.factor = 2
    with TestClient(chute) as client:
        assert client.post("/outer", json={"value": 4}).json() == [8, [8]]
