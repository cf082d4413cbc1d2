"""The jobs of a running chute, through `AsyncClient`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx2

from chutes.client.call import Call
from chutes.client.decode import stream_errors
from chutes.client.exchange import Exchange, Steps
from chutes.client.job_calls import BrokenOff, JobCalls, JobEvent, JobEvents, Place, is_end
from chutes.client.job_files import Download
from chutes.errors import CallFailed, ConnectionFailed

__all__ = ["AsyncJobs", "AsyncRemoteRun"]

T = TypeVar("T")
# What is written to a file in one go.
_PIECE = 256 * 1024


class AsyncJobs:
    """What `client.jobs` is: submits runs, and finds them again.

    Args:
        calls: the steps.
        link: carries them out.
    """

    def __init__(self, calls: JobCalls, link: "AsyncLink") -> None:
        self._calls = calls
        self._link = link

    async def submit(
        self,
        job: str,
        /,
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
        **arguments: Any,
    ) -> "AsyncRemoteRun":
        """See `Jobs.submit`."""
        return await self.submit_mapping(
            job, arguments, key=key, delay=delay, priority=priority, webhook=webhook
        )

    async def submit_mapping(
        self,
        job: str,
        /,
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
    ) -> "AsyncRemoteRun":
        """See `Jobs.submit_mapping`."""
        steps = self._calls.submit(job, arguments, key=key, delay=delay, priority=priority, webhook=webhook)
        place = await self._link.run(steps)
        return AsyncRemoteRun(self._calls, self._link, place)

    async def run(self, run_id: str, job: str | None = None) -> "AsyncRemoteRun":
        """See `Jobs.run`."""
        return AsyncRemoteRun(self._calls, self._link, await self._link.run(self._calls.find(run_id, job)))

    async def runs(
        self, job: str, *, status: str | None = None, limit: int = 50, before: str | None = None
    ) -> list[dict[str, Any]]:
        """See `Jobs.runs`."""
        return await self._link.run(self._calls.runs(job, status, limit, before))

    async def describe(self) -> list[dict[str, Any]]:
        """See `Jobs.describe`."""
        return await self._link.run(self._calls.jobs())

    async def purge(self, job: str, *, older_than: float) -> int:
        """See `Jobs.purge`."""
        return await self._link.run(self._calls.purge(job, older_than))


class AsyncRemoteRun:
    """A run at a running chute.

    Attributes:
        id: of the run.
        job: name of its job.
    """

    def __init__(self, calls: JobCalls, link: "AsyncLink", place: Place) -> None:
        self.id = place.id
        self.job = place.job
        self._calls = calls
        self._link = link
        self._place = place

    async def status(self) -> str:
        """See `RemoteRun.status`."""
        return str((await self.info())["status"])

    async def info(self) -> dict[str, Any]:
        """See `RemoteRun.info`."""
        return await self._link.run(self._calls.info(self._place))

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as its twin
        """See `RemoteRun.result`."""
        return await self._link.run(self._calls.result(self._place, timeout))

    async def cancel(self) -> bool:
        """See `RemoteRun.cancel`."""
        return await self._link.run(self._calls.cancel(self._place))

    async def retry(self) -> None:
        """See `RemoteRun.retry`."""
        await self._link.run(self._calls.retry(self._place))

    async def events(self, after: str = "") -> AsyncIterator[JobEvent]:
        """See `RemoteRun.events`."""
        breaks = 0
        while True:
            try:
                async with aclosing(self._link.events(self._calls.events(self._place, after))) as found:
                    async for event in found:
                        breaks, after = 0, event.id
                        yield event
                        if is_end(event):
                            return
            except BrokenOff:
                breaks += 1
            await self._link.run(self._calls.pause(breaks))

    async def files(self) -> list[dict[str, Any]]:
        """See `RemoteRun.files`."""
        return await self._link.run(self._calls.files(self._place))

    async def download(self, path: str, to: str | Path = ".") -> Path:
        """See `RemoteRun.download`."""
        file = await self._link.run(self._calls.file(self._place, path))
        download = await asyncio.to_thread(Download, self._place, file, to)
        try:
            while not download.is_whole:
                try:
                    await self._link.fetch(download)
                except BrokenOff as error:
                    download.note_break(error)
                    await self._link.run(self._calls.pause(download.breaks))
            return await asyncio.to_thread(download.finish)
        finally:
            download.close()

    def __repr__(self) -> str:
        return f"<AsyncRemoteRun {self.id} of {self.job}>"


class AsyncLink:
    """A client's connection, as jobs use it.

    Args:
        run: carries out steps.
        send: sends a call; a good answer comes unread.
        exchange: knows which answers are good.
    """

    def __init__(
        self,
        run: "AsyncRun",
        send: Callable[[Call], AbstractAsyncContextManager[httpx2.Response]],
        exchange: Exchange,
    ) -> None:
        self.run = run
        self._send = send
        self._exchange = exchange

    async def events(self, call: Call) -> AsyncGenerator[JobEvent, None]:
        """The events of one answer.

        Raises:
            CallError: there was no good answer.
        """
        async with self._send(call) as response:
            self._exchange.check(response)
            events = JobEvents()
            try:
                with stream_errors(response):
                    async with aclosing(response.aiter_bytes()) as chunks:
                        async for chunk in chunks:
                            for event in events.feed(chunk):
                                yield event
            except (CallFailed, ConnectionFailed) as error:
                raise BrokenOff from error

    async def fetch(self, download: Download) -> None:
        """See `Link.fetch`."""
        async with self._send(download.call()) as response:
            self._exchange.check(response)
            download.begin(response)
            try:
                with stream_errors(response):
                    async with aclosing(response.aiter_bytes(_PIECE)) as chunks:
                        async for chunk in chunks:
                            await asyncio.to_thread(download.write, chunk)
            except (CallFailed, ConnectionFailed) as error:
                raise BrokenOff from error


class AsyncRun(Protocol):
    """Carries out the steps of an exchange."""

    def __call__(self, steps: Steps[T], /) -> Awaitable[T]:
        """Their outcome."""
