"""The sync and the async client: each runs the steps of an exchange on its own kind of connection."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from types import MappingProxyType
from typing import Any, Self, TypeVar

import httpx2

from chutes import __version__
from chutes.client.async_jobs import AsyncJobs, AsyncLink
from chutes.client.call import ABSENT, Call
from chutes.client.clock import Clock, SystemClock
from chutes.client.decode import decoder_for, items, stream_errors
from chutes.client.exchange import Exchange, Pause, Read, Send, Step, Steps
from chutes.client.job_calls import JobCalls
from chutes.client.jobs import Jobs, Link
from chutes.client.retry import RetryPolicy

__all__ = ["AsyncClient", "Client"]

T = TypeVar("T")
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Servers commonly close an idle connection after 5 s. To let go of it earlier keeps a call from being sent on
# a connection that closes just then, which for a POST could not be repeated.
_KEEPALIVE_EXPIRY = 3.0


class Client:
    """Calls a running chute, and waits for its answers.

    One client may be shared by threads.

    Args:
        url: where the chute is, such as `http://127.0.0.1:8000`; its path, if any, precedes each path called.
        api_key: sent as `Authorization: Bearer`.
        timeout: seconds without a byte from the chute after which a call fails; None to wait for ever.
        retries: how often a call is sent again whose work was not begun: no connection, or a refusal (429, 503). 0 for never.
        max_wait: seconds from a call's first attempt after which it is not sent again.
        headers: headers of every call.
        transport: in place of the network, or to set TLS and proxies: see httpx2.
        clock: in place of the machine's clock.

    Attributes:
        jobs: the chute's jobs: `run = chute.jobs.submit("report", title="Bees")`.

    Raises:
        ValueError: the URL, the key or a number cannot be.

    Example:
        with Client("http://127.0.0.1:8000") as chute:
            vector = chute.call("/embed", text="hello")
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float | None = 60.0,
        retries: int = 3,
        max_wait: float = 60.0,
        headers: Mapping[str, str] = _NO_HEADERS,
        transport: httpx2.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        policy = RetryPolicy(retries=retries, max_wait=max_wait)
        self._http = httpx2.Client(**_settings(url, api_key, timeout, headers), transport=transport)
        self._exchange = Exchange(build=self._http.build_request, policy=policy, clock=self._clock)
        self.jobs = Jobs(JobCalls(self._exchange, self._clock), Link(self._run, self.send, self._exchange))

    def call(
        self,
        target: str,
        body: Any = ABSENT,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        **arguments: Any,
    ) -> Any:
        """Call a cord and return its value.

        Args:
            target: the cord's path, or its function's name.
            body: the whole JSON body; otherwise the arguments are sent by name. bytes are sent as they are.
            method: the HTTP method, when it is not the one that the chute lists.
            headers: headers of this call alone.
            **arguments: the cord's arguments; a Path, an open binary file, bytes, `(filename, content)` are
                uploads.

        Returns:
            JSON's value; a str for text; bytes for all else; None for an empty answer; for a stream of events
            or JSON lines the list of its items.

        Raises:
            ConnectionFailed: no connection, or it broke, or nothing came for `timeout` seconds.
            CallRefused: the chute was too busy, or not ready, to the last attempt.
            CallRejected: the arguments, path or key are wrong; without a status when nothing was sent.
            CallFailed: the chute's own code failed.
            OSError: a file to upload cannot be read.
        """
        return self._run(self._exchange.value(_call(target, body, method, headers, arguments)))

    def stream(
        self,
        target: str,
        body: Any = ABSENT,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        **arguments: Any,
    ) -> Iterator[Any]:
        """Call a cord and yield the items of its answer as they come; for the parameters see `call`.

        The call is sent when the first item is asked for. Close the iterator (`contextlib.closing`), or drop
        it, to end the stream early: the chute then stops its work.

        Yields:
            The JSON, else the text, of each event; the value of each JSON line; pieces of text or bytes. An
            answer that is one JSON value is one item.

        Raises:
            CallError: as `call`; CallFailed also for an error inside the stream, and for one that breaks off.
        """
        with self.send(_call(target, body, method, headers, arguments)) as response:
            self._exchange.check(response)
            yield from items(response)

    def request(
        self,
        target: str,
        body: Any = ABSENT,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        **arguments: Any,
    ) -> httpx2.Response:
        """Call a cord and return the raw answer, whatever its status; for the parameters see `call`.

        Raises:
            ConnectionFailed: no whole answer came.
            CallRejected: the arguments do not make a request.
        """
        return self._run(self._exchange.answer(_call(target, body, method, headers, arguments), whole=True))

    @contextmanager
    def send(self, call: Call) -> Iterator[httpx2.Response]:
        """Send a call that is a value already; a good answer comes with its body unread, a bad one whole.

        Raises:
            ConnectionFailed: no answer came.
            CallRejected: the arguments do not make a request.
        """
        response = self._run(self._exchange.answer(call, whole=False))
        try:
            yield response
        finally:
            response.close()

    def health(self) -> dict[str, Any]:
        """What `/health` says, well or not; never retried."""
        return self._run(self._exchange.health())

    def ready(self) -> bool:
        """Whether the chute takes calls now, and not starts, stops or is out of reach; never retried."""
        return self._run(self._exchange.ready())

    def schema(self) -> dict[str, Any]:
        """The chute's OpenAPI document, fetched once by each client."""
        return self._run(self._exchange.schema())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    try:
                        outcome = self._do(step)
                    except httpx2.RequestError as exc:
                        step = steps.throw(exc)
                    else:
                        step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result

    def _do(self, step: Step) -> httpx2.Response | None:
        match step:
            case Send():
                step.request.extensions["trace"] = step.progress.note
                return self._http.send(step.request, stream=not step.whole)
            case Read():
                with closing(step.response):
                    step.response.read()
            case Pause():
                self._clock.sleep(step.seconds)
        return None


class AsyncClient:
    """`Client` for asyncio: the same parameters, methods and errors.

    Example:
        async with AsyncClient("http://127.0.0.1:8000") as chute:
            vector = await chute.call("/embed", text="hello")
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float | None = 60.0,
        retries: int = 3,
        max_wait: float = 60.0,
        headers: Mapping[str, str] = _NO_HEADERS,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        policy = RetryPolicy(retries=retries, max_wait=max_wait)
        self._http = httpx2.AsyncClient(**_settings(url, api_key, timeout, headers), transport=transport)
        self._exchange = Exchange(build=self._http.build_request, policy=policy, clock=self._clock)
        link = AsyncLink(self._run, self.send, self._exchange)
        self.jobs = AsyncJobs(JobCalls(self._exchange, self._clock), link)

    async def call(
        self,
        target: str,
        body: Any = ABSENT,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        **arguments: Any,
    ) -> Any:
        """See `Client.call`."""
        return await self._run(self._exchange.value(_call(target, body, method, headers, arguments)))

    async def stream(
        self,
        target: str,
        body: Any = ABSENT,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        **arguments: Any,
    ) -> AsyncIterator[Any]:
        """See `Client.stream`; close it early with `contextlib.aclosing`."""
        async with self.send(_call(target, body, method, headers, arguments)) as response:
            self._exchange.check(response)
            decoder = decoder_for(response)
            with stream_errors(response):
                async with aclosing(response.aiter_bytes()) as chunks:
                    async for chunk in chunks:
                        for item in decoder.feed(chunk):
                            yield item
                for item in decoder.finish():
                    yield item

    async def request(
        self,
        target: str,
        body: Any = ABSENT,
        /,
        *,
        method: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        **arguments: Any,
    ) -> httpx2.Response:
        """See `Client.request`."""
        call = _call(target, body, method, headers, arguments)
        return await self._run(self._exchange.answer(call, whole=True))

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """See `Client.send`."""
        response = await self._run(self._exchange.answer(call, whole=False))
        try:
            yield response
        finally:
            await response.aclose()

    async def health(self) -> dict[str, Any]:
        """See `Client.health`."""
        return await self._run(self._exchange.health())

    async def ready(self) -> bool:
        """See `Client.ready`."""
        return await self._run(self._exchange.ready())

    async def schema(self) -> dict[str, Any]:
        """See `Client.schema`."""
        return await self._run(self._exchange.schema())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _run(self, steps: Steps[T]) -> T:
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    try:
                        outcome = await self._do(step)
                    except httpx2.RequestError as exc:
                        step = steps.throw(exc)
                    else:
                        step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result

    async def _do(self, step: Step) -> httpx2.Response | None:
        match step:
            case Send():
                step.request.extensions["trace"] = step.progress.anote
                return await self._http.send(step.request, stream=not step.whole)
            case Read():
                async with aclosing(step.response):
                    await step.response.aread()
            case Pause():
                await self._clock.asleep(step.seconds)
        return None


def _call(
    target: str, body: Any, method: str | None, headers: Mapping[str, str], arguments: Mapping[str, Any]
) -> Call:
    return Call(target=target, body=body, method=method, headers=headers, arguments=arguments)


def _settings(
    url: str, api_key: str | None, timeout: float | None, headers: Mapping[str, str]
) -> dict[str, Any]:
    own = {"User-Agent": f"chutes-client/{__version__}"}
    if api_key:
        own["Authorization"] = f"Bearer {_checked_key(api_key)}"
    return {
        "base_url": _checked_url(url),
        "headers": {**own, **headers},
        # Waiting for a free connection of this client is the caller's doing, no sign of a chute in trouble.
        "timeout": httpx2.Timeout(timeout, pool=None),
        "limits": httpx2.Limits(keepalive_expiry=_KEEPALIVE_EXPIRY, max_connections=100),
    }


def _checked_url(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as exc:
        raise ValueError(f"Invalid URL {url!r} ({exc}). Write one like 'http://127.0.0.1:8000'.") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise ValueError(f"Invalid URL {url!r}. Write the chute's address like 'http://127.0.0.1:8000'.")
    return parsed


def _checked_key(key: str) -> str:
    bare = key.strip()
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        # The value stays out of the message: messages end in logs.
        raise ValueError("Invalid api_key. A key is printable ASCII without spaces.")
    return bare
