"""The files of a run over HTTP: the list, and downloads in whole or in part."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from chutes.jobs.files_read import RunFile
from chutes.jobs.service import JobRun

__all__ = ["DOWNLOAD", "download", "list_files"]

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}

DOWNLOAD: Final[Mapping[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", **_BYTES},
    206: {"description": "The part of it that `Range` asked for.", **_BYTES},
    304: {"description": "The client has it: `If-None-Match`."},
    416: {"description": "It has no such part."},
}
"""The answers of a download, as OpenAPI describes them."""


def list_files(run: JobRun) -> Response:
    """The files that a run has left."""
    return JSONResponse({"files": [file.shown() for file in run.latest.files]})


def download(request: Request, file: RunFile) -> Response:
    """A file of a run, or the part of it that was asked for."""
    headers = _headers(file)
    if _is_known(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    asked = _asked(request, headers["etag"])
    part = range(file.size) if asked is None else _part(file.size, *asked)
    if asked and not part:
        return Response(
            status_code=416, headers={"content-range": f"bytes */{file.size}", "accept-ranges": "bytes"}
        )
    status = 200 if asked is None else 206
    if asked:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
    headers |= {"content-length": str(len(part)), "content-type": file.content_type}
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(file.chunks(part.start, part.stop), status, headers)


def _headers(file: RunFile) -> dict[str, str]:
    name = file.path.rpartition("/")[2]
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)
    return {
        "etag": f'"{file.sha256}"',
        "accept-ranges": "bytes",
        # Another attempt may leave another file at this place.
        "cache-control": "private, no-cache",
        # What a job writes is never a page of the chute's own.
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
    }


def _is_known(header: str, etag: str) -> bool:
    return etag in re.findall(r'"[^"]*"', header) or header.strip() == "*"


def _asked(request: Request, etag: str) -> tuple[str, str] | None:
    """The first and the last byte of the one range that was asked for; None when the whole file is to be sent."""
    # Several ranges at once are answered with all, which HTTP allows.
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or request.method != "GET" or request.headers.get("if-range", etag).strip() != etag:
        return None
    first, last = found.groups()
    is_none = not (first or last) or (first and last and int(last) < int(first))
    return None if is_none else (first, last)


def _part(size: int, first: str, last: str) -> range:
    if first:
        return range(size)[int(first) : int(last) + 1 if last else size]
    return range(size)[max(0, size - int(last)) :]
