"""Cords of modules with `from __future__ import annotations`: hints are strings until the cord is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import pytest
from fastapi import Depends, Header, Request, UploadFile
from pydantic import BaseModel, Field

from chutes.errors import DefinitionError
from chutes.testing import TestClient
from support.serving import new_chute, serving

if TYPE_CHECKING:
    from decimal import Decimal


class Prompt(BaseModel):
    text: str
    image: Image | None = None


class Image(BaseModel):
    url: str


def who(authorization: Annotated[str, Header()] = "nobody"):
    return authorization


async def whole(self, params: Prompt) -> Prompt:
    return params


async def by_name(
    self, text: str, count: Annotated[int, Field(ge=1)] = 1, *, image: Image | None = None
) -> list[str]:
    return [text * count, image.url if image else ""]


async def injected(self, request: Request, text: str, user: Annotated[str, Depends(who)]) -> list[str]:
    return [request.method, text, user]


async def upload(self, file: UploadFile, lang: str = "de") -> list[str]:
    return [file.filename, lang]


async def stream(self, text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


def test_a_model():
    with serving(whole) as client:
        assert client.post("/run", json={"text": "t", "image": {"url": "u"}}).json() == {
            "text": "t",
            "image": {"url": "u"},
        }
        assert client.post("/run", json={}).status_code == 422


def test_parameters_by_name():
    with serving(by_name) as client:
        assert client.post("/run", json={"text": "t", "count": 2, "image": {"url": "u"}}).json() == [
            "tt",
            "u",
        ]
        assert client.post("/run", json={"text": "t", "count": 0}).status_code == 422


def test_injected_parameters():
    with serving(injected) as client:
        assert client.post("/run", json={"text": "t"}).json() == ["POST", "t", "nobody"]


def test_files():
    with serving(upload) as client:
        assert client.post("/run", files={"file": ("a", b"1")}).json() == ["a", "de"]


def test_streams():
    with serving(stream, stream=True) as client:
        assert client.post("/run", json={"text": "ab"}).text == "ab"


def test_a_model_that_the_function_closes_over():
    class Local(BaseModel):
        text: str

    async def run(self, params: Local) -> list[str]:
        return [Local.__name__, params.text]

    with serving(run) as client:
        assert client.post("/run", json={"text": "t"}).json() == ["Local", "t"]


@pytest.mark.xfail(reason="a name that only the hint mentions is not in the function's closure", strict=True)
def test_a_model_of_the_function_that_makes_the_chute():
    chute = new_chute()

    class Local(BaseModel):
        text: str

    @chute.cord("/run")
    async def run(self, params: Local):
        return params.text

    with TestClient(chute) as client:
        assert client.post("/run", json={"text": "t"}).json() == "t"


def test_a_function_that_closes_over_what_is_not_made_yet():
    chute = new_chute()
    assert chute.app

    @chute.cord("/run")
    async def run(self, params: Prompt):
        return [later, run.__name__, params.text]

    later = "later"
    with TestClient(chute) as client:
        assert client.post("/run", json={"text": "t"}).json() == ["later", "run", "t"]


def test_a_websocket():
    chute = new_chute()

    @chute.websocket("/talk/{room}")
    async def talk(self, websocket: WebSocket, room: str):
        await websocket.accept()
        await websocket.send_text(room)

    with TestClient(chute) as client, client.websocket_connect("/talk/a") as session:
        assert session.receive_text() == "a"


def test_a_name_that_only_type_checkers_import_is_named_in_the_error():
    chute = new_chute()

    @chute.cord("/run")
    async def run(self, price: Decimal): ...

    with pytest.raises(DefinitionError, match="Define 'Decimal' at the top of the module"):
        chute.app  # noqa: B018 - reading it is the test


from fastapi import WebSocket  # noqa: E402 - hints are read late enough for this
