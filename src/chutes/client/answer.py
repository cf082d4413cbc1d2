"""The error that an answer, or the lack of one, stands for."""

import html
import json
import re
from typing import Any

import httpx2

from chutes.client.retry import is_refused, retry_after
from chutes.errors import CallError, CallFailed, CallRefused, CallRejected, ConnectionFailed

__all__ = ["check", "connection_error", "failure", "readable"]

_LONGEST_DETAIL = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _METHOD_NOT_ALLOWED = 401, 403, 404, 405
_FIRST_SERVER_ERROR = 500


def check(response: httpx2.Response, now: float) -> None:
    """Raise the error that an answer stands for; its body has been read, unless it is a success.

    Args:
        response: the answer.
        now: seconds since 1970, which a date in `Retry-After` is compared with.

    Raises:
        CallRefused: 429 or 503.
        CallRejected: any other 4xx, or a redirect.
        CallFailed: any other 5xx.
    """
    if not response.is_success:
        raise _error_of(response, now)


def failure(response: httpx2.Response, text: str, detail: object = None) -> CallFailed:
    """The error for an answer that began well and went wrong."""
    request_id = _request_id(response)
    return CallFailed(
        f"{_what(response.request)} {text}. The chute's log has more, under request id {request_id}.",
        status=response.status_code,
        detail=detail,
        request_id=request_id,
    )


def connection_error(exc: httpx2.RequestError, request: httpx2.Request) -> CallError:
    """The error for a request that has no whole answer."""
    reason = str(exc) or type(exc).__name__
    request_id = request.headers.get("X-Request-ID")
    if isinstance(exc, httpx2.LocalProtocolError):
        return CallRejected(f"{_what(request)} cannot be sent: {reason}. Correct its headers.")
    if isinstance(exc, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        text = (
            f"No connection to {_origin(request)} ({reason}). Is the chute running, and is the URL right? "
            "`chutes run` shows its address when it starts."
        )
    elif isinstance(exc, httpx2.TimeoutException):
        seconds = request.extensions.get("timeout", {}).get("read")
        text = (
            f"{_what(request)}: nothing came for {seconds} s. Give the client a longer timeout, or look for "
            f"request id {request_id} in the chute's log."
        )
    else:
        text = (
            f"The connection broke before the answer to {_what(request)} was whole ({reason}). The call may "
            f"have been carried out: look for request id {request_id} in its log before you call again."
        )
    return ConnectionFailed(text, request_id=request_id)


def readable(detail: object) -> str:
    """The detail of an error as one line for people: FastAPI's lists, OpenAI's objects, pages of HTML."""
    if (
        isinstance(detail, list)
        and detail
        and all(isinstance(item, dict) and "msg" in item for item in detail)
    ):
        text = "; ".join(_complaint(item) for item in detail)
    elif isinstance(detail, dict) and (inner := _inner(detail)) is not None:
        text = readable(inner)
    elif isinstance(detail, str):
        text = _text_of_page(detail) if detail.lstrip().startswith("<") else detail
    else:
        text = json.dumps(detail, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"


def _error_of(response: httpx2.Response, now: float) -> CallError:
    status = response.status_code
    body = _body_of(response)
    detail = body.get("detail", body) if isinstance(body, dict) else body
    request_id = _request_id(response, body)
    said = readable(detail or response.reason_phrase).rstrip(".")
    end = "" if said.endswith(("?", "!")) else "."
    text = f"{_what(response.request)} was answered {status}: {said}{end}"
    if is_refused(status):
        wait = retry_after(response.headers, now)
        asked = (
            "The chute is busy, starts or stops" if wait is None else f"The chute asks to wait {wait:.3g} s"
        )
        text = f"{text} {asked}: call again later."
        return CallRefused(text, status=status, detail=detail, request_id=request_id, retry_after=wait)
    if status >= _FIRST_SERVER_ERROR:
        text = f"{text} The chute's log has the reason, under request id {request_id}."
        return CallFailed(text, status=status, detail=detail, request_id=request_id)
    return CallRejected(f"{text}{_advice(response)}", status=status, detail=detail, request_id=request_id)


def _advice(response: httpx2.Response) -> str:
    status = response.status_code
    if response.is_redirect:
        return f" It points to {response.headers.get('Location', 'nowhere')}: call that address instead."
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return " Give the client a key that the chute knows: Client(url, api_key='...')."
    if status == _NOT_FOUND:
        return " The chute's /docs page lists its paths."
    if status == _METHOD_NOT_ALLOWED and "Allow" in response.headers:
        return f" Call it with another method: {response.headers['Allow']}."
    return ""


def _body_of(response: httpx2.Response) -> object:
    try:
        return json.loads(response.content)
    except ValueError:
        return response.text or None


def _request_id(response: httpx2.Response, body: object = None) -> str | None:
    inside = body.get("request_id") if isinstance(body, dict) else None
    sent: str | None = response.request.headers.get("X-Request-ID")
    return response.headers.get("X-Request-ID") or inside or sent


def _what(request: httpx2.Request) -> str:
    # Without the query and without a password in the URL: messages end in logs.
    return f"{request.method} {_origin(request)}{request.url.raw_path.partition(b'?')[0].decode('ascii')}"


def _origin(request: httpx2.Request) -> str:
    return str(request.url.copy_with(userinfo=b"", raw_path=b"/", fragment=None)).rstrip("/")


def _complaint(item: dict[str, Any]) -> str:
    place = item.get("loc") or []
    names = [str(part) for part in place]
    if len(names) > 1 and names[0] in _PLACES:
        names = names[1:]
    return f"{'.'.join(names)}: {item['msg']}" if names else str(item["msg"])


def _inner(detail: dict[str, Any]) -> object:
    for key in ("detail", "error", "message", "msg"):
        if detail.get(key):
            return detail[key]
    return None


def _text_of_page(page: str) -> str:
    title = _TITLE.search(page)
    text = title[1] if title else _TAG.sub(" ", _UNSEEN.sub(" ", page))
    return f"a page of HTML, perhaps from a proxy before the chute: {' '.join(html.unescape(text).split())!r}"
