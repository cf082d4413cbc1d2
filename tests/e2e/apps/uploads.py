"""Files and fields that come as forms, and bodies of any size."""

import hashlib
from typing import Annotated

from fastapi import File, Form, Request, UploadFile
from pydantic import BaseModel

from chutes import Chute

chute = Chute(
    username="me", name="uploads", image="python:3.11", concurrency=4, max_body_size=60 * 1024 * 1024
)


@chute.cord("/fields")
async def fields(self, text: Annotated[str, Form()], times: Annotated[int, Form(ge=1)] = 1) -> dict:
    return {"text": text * times}


@chute.cord("/file")
async def file(self, document: UploadFile, note: str = "", tags: list[str] | None = None) -> dict:
    """A file, and parameters that come as fields beside it."""
    content = await document.read()
    return {
        "name": document.filename,
        "type": document.content_type,
        "size": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
        "note": note,
        "tags": tags,
    }


@chute.cord("/files")
async def files(self, documents: list[UploadFile]) -> list:
    return [[one.filename, len(await one.read())] for one in documents]


@chute.cord("/bytes")
async def in_bytes(self, document: Annotated[bytes, File()]) -> int:
    return len(document)


@chute.cord("/optional")
async def optional(self, document: UploadFile | None = None) -> str:
    return document.filename if document else "none"


class Wish(BaseModel):
    title: str
    size: int


@chute.cord("/with-model")
async def with_model(self, document: UploadFile, wish: Wish) -> list:
    return [document.filename, wish.title, wish.size]


@chute.cord("/with-models")
async def with_models(self, document: UploadFile, first: Wish, second: Wish) -> list:
    return [document.filename, first.title, second.title]


@chute.cord("/parts")
async def parts(self, request: Request) -> dict:
    """Reads the body while it comes: only a part of it is in memory."""
    size, longest = 0, 0
    async for part in request.stream():
        size += len(part)
        longest = max(longest, len(part))
    return {"size": size, "longest": longest}


@chute.cord("/json")
async def json_body(self, text: str) -> int:
    return len(text)
