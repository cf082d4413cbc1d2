"""Cords with results of every kind."""

from collections.abc import AsyncIterator, Iterator

import numpy as np
import PIL.Image
from fastapi.responses import FileResponse, HTMLResponse
from pydantic import BaseModel


class Answer(BaseModel):
    text: str


async def by_name(self, prompt: str) -> Answer: ...
async def whole_dict(self, data: dict): ...
async def nothing(self) -> None: ...
async def arrays(self, text: str) -> np.ndarray: ...
async def picture(self, text: str) -> PIL.Image.Image: ...
async def raw(self, text: str) -> bytes: ...
async def file(self) -> FileResponse: ...
async def page(self) -> HTMLResponse: ...
async def tokens(self, prompt: str) -> AsyncIterator[str]:
    yield ""


async def parts(self) -> AsyncIterator[bytes]:
    yield b""


def events(self) -> Iterator[Answer]:
    yield Answer(text="")


async def unknown(self):
    yield 1
