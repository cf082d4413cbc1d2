"""What `warmup=` of a cord takes, checked where it is written."""

import dataclasses
from typing import Annotated

import pytest
from fastapi import File, Form, UploadFile
from pydantic import BaseModel

from chutes.chute.warmup import takes_form
from chutes.errors import DefinitionError
from support.serving import new_chute


class Prompt(BaseModel):
    prompt: str


class NoForm(BaseModel):
    pass


@dataclasses.dataclass
class Query:
    text: str


def define(warmup, path="/run", function=None):
    async def run(self, prompt: str = ""):
        return prompt

    new_chute().cord(path, warmup=warmup)(function or run)


@pytest.mark.parametrize("warmup", [None, False, {}, {"prompt": "a"}, Prompt(prompt="a"), Query("a")])
def test_arguments_are_a_dict_or_a_model(warmup):
    define(warmup)


@pytest.mark.parametrize(
    ("warmup", "advice"),
    [
        (True, "{} for a cord without arguments"),
        ("hello", 'warmup={"prompt": "hello"}'),
        (["hello"], "as a dict or a model"),
        ({1: "hello"}, "as a dict or a model"),
        (Prompt, "It takes values: warmup=Prompt(…)."),
        (Query, "It takes values: warmup=Query(…)."),
    ],
    ids=["True", "text", "list", "keys", "model", "dataclass"],
)
def test_anything_else_is_refused_with_what_to_write(warmup, advice):
    with pytest.raises(DefinitionError, match="Invalid warmup ") as caught:
        define(warmup)
    assert advice in str(caught.value)


def test_a_placeholder_has_no_value():
    async def run(self, item: str):
        return item

    with pytest.raises(DefinitionError, match="a placeholder in its path '/items/"):
        define({"item": "a"}, "/items/{item}", run)


async def file(self, picture: UploadFile): ...
async def files(self, pictures: list[UploadFile] | None = None): ...
async def marked(self, text: Annotated[str, Form()]): ...
async def by_default(self, data: bytes = File()): ...
async def in_quotes(self, picture: "UploadFile"): ...
async def plain(self, formula: str, profile: "NoForm", data: bytes = b""): ...


@pytest.mark.parametrize("function", [file, files, marked, by_default, in_quotes])
def test_a_form_cannot_be_sent(function):
    with pytest.raises(DefinitionError, match="takes a form or a file"):
        define({}, function=function)


def test_names_that_only_look_like_forms_are_none():
    assert not takes_form(plain)
