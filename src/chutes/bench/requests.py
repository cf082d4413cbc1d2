"""Calls of a chute as bytes that can be sent again and again."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import httpx2

from chutes import __version__
from chutes.bench.http_line import Endpoint
from chutes.bench.line import WireRequest
from chutes.client import Call, Client
from chutes.client.call import request_parts
from chutes.client.operations import find, method_of
from chutes.errors import CallError, CallRejected, ConnectionFailed

__all__ = ["Target", "prepare"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a load is sent to.

    Attributes:
        method: the HTTP method.
        url: the address that is called, without its query.
        endpoint: where to connect.
        requests: those to send in turn.
        metrics: the request for the chute's `/metrics`.
    """

    method: str
    url: str
    endpoint: Endpoint
    requests: tuple[WireRequest, ...]
    metrics: WireRequest


def prepare(client: Client, base: str, calls: Sequence[Call], headers: Mapping[str, str]) -> Target:
    """Make the requests of `calls`, which all have one target, and read the files that they upload.

    Args:
        client: asks the chute for its OpenAPI document, which has the method of a path and the path of a name.
        base: the chute's address.
        calls: what to send in turn, one at least.
        headers: headers of every request, such as the key.

    Raises:
        ConnectionFailed: the chute is out of reach.
        CallRejected: the arguments do not make a request, or the chute has no such cord.
        OSError: a file to upload cannot be read.
    """
    path, method = _place(client, calls[0])
    own = {"User-Agent": f"chutes-bench/{__version__}", "Accept": "*/*", **headers}
    made = [_request(base, path, method, call, own) for call in calls]
    url = made[0].url
    if url.userinfo:
        raise CallRejected("A name and a password in the URL are not sent. Give a header: --header.")
    metrics = httpx2.Request("GET", url.copy_with(path="/metrics", query=None), headers=own)
    return Target(
        method=method,
        url=str(url.copy_with(query=None)),
        endpoint=_endpoint(url),
        requests=tuple(_wire(request) for request in made),
        metrics=_wire(metrics, keep=True),
    )


def _place(client: Client, call: Call) -> tuple[str, str]:
    if not call.by_path:
        operation = find(client.schema(), call.target, call.method)
        return operation.path, operation.method
    if call.method is not None:
        return call.target, call.method
    try:
        return call.target, method_of(client.schema(), call.target) or "POST"
    except ConnectionFailed:
        raise
    except CallError:
        # A chute may hide its document: most cords take a POST.
        return call.target, "POST"


def _request(base: str, path: str, method: str, call: Call, own: Mapping[str, str]) -> httpx2.Request:
    with ExitStack() as files:
        parts = request_parts(call, path, method, files)
        headers = httpx2.Headers({**own, **parts.pop("headers", {})})
        headers.update(dict(call.headers))
        url = f"{base}{parts.pop('url')}"
        request = httpx2.Request(method, url, headers=headers, **parts)
        request.read()
        return request


def _endpoint(url: httpx2.URL) -> Endpoint:
    tls = httpx2.create_ssl_context() if url.scheme == "https" else None
    return Endpoint(host=url.host, port=url.port or _PORTS[url.scheme], tls=tls)


def _wire(request: httpx2.Request, *, keep: bool = False) -> WireRequest:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % pair for pair in request.headers.raw]
    data = b"\r\n".join([*lines, b"", request.read()])
    return WireRequest(data=data, headless=request.method == "HEAD", keep=keep)
