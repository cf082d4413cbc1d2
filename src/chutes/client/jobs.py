"""The jobs of a running chute, through `Client`."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx2

from chutes.client.call import Call
from chutes.client.decode import stream_errors
from chutes.client.exchange import Exchange, Steps
from chutes.client.job_calls import BrokenOff, JobCalls, JobEvent, JobEvents, Place, is_end
from chutes.client.job_files import Download
from chutes.errors import CallFailed, ConnectionFailed

__all__ = ["Jobs", "RemoteRun"]

T = TypeVar("T")


class Jobs:
    """What `client.jobs` is: submits runs, and finds them again.

    Args:
        calls: the steps.
        link: carries them out.
    """

    def __init__(self, calls: JobCalls, link: "Link") -> None:
        self._calls = calls
        self._link = link

    def submit(
        self,
        job: str,
        /,
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
        **arguments: Any,
    ) -> "RemoteRun":
        """Submit a run: once this returns, nothing loses it.

        Args:
            job: its name.
            key: submitting once more with the same key returns the same run.
            delay: seconds before it may begin.
            priority: higher ones go first.
            webhook: address that the chute tells of the run's end, by a signed POST.
            **arguments: of the job's function, by name.

        Raises:
            CallRejected: no such job (404), arguments that do not fit (422), or a key with other arguments (409).
            CallError: as `Client.call`.
        """
        return self.submit_mapping(job, arguments, key=key, delay=delay, priority=priority, webhook=webhook)

    def submit_mapping(
        self,
        job: str,
        /,
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
    ) -> "RemoteRun":
        """`submit`, with the arguments of the function as one mapping."""
        steps = self._calls.submit(job, arguments, key=key, delay=delay, priority=priority, webhook=webhook)
        place = self._link.run(steps)
        return RemoteRun(self._calls, self._link, place)

    def run(self, run_id: str, job: str | None = None) -> "RemoteRun":
        """A run by its id; to say of which job it is saves a few calls.

        Raises:
            CallRejected: there is none.
        """
        return RemoteRun(self._calls, self._link, self._link.run(self._calls.find(run_id, job)))

    def runs(
        self, job: str, *, status: str | None = None, limit: int = 50, before: str | None = None
    ) -> list[dict[str, Any]]:
        """Runs of a job, the newest first; `before` is the id of the last one of the page before."""
        return self._link.run(self._calls.runs(job, status, limit, before))

    def describe(self) -> list[dict[str, Any]]:
        """The jobs of the chute: name, schedule, next run, retries, time limit."""
        return self._link.run(self._calls.jobs())

    def purge(self, job: str, *, older_than: float) -> int:
        """Remove the runs of a job that ended more than `older_than` seconds ago; returns how many."""
        return self._link.run(self._calls.purge(job, older_than))


class RemoteRun:
    """A run at a running chute.

    Attributes:
        id: of the run.
        job: name of its job.
    """

    def __init__(self, calls: JobCalls, link: "Link", place: Place) -> None:
        self.id = place.id
        self.job = place.job
        self._calls = calls
        self._link = link
        self._place = place

    def status(self) -> str:
        """queued, running, succeeded, failed or cancelled."""
        return str(self.info()["status"])

    def info(self) -> dict[str, Any]:
        """Everything about the run."""
        return self._link.run(self._calls.info(self._place))

    def result(self, timeout: float | None = None) -> Any:
        """What the function returned, as JSON has it; waits for the run's end.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            JobFailed: the last attempt failed; the text is its error.
            JobCancelled: the run was cancelled.
            TimeoutError: it has not ended yet; it goes on.
            CallError: the chute could not be asked.
        """
        return self._link.run(self._calls.result(self._place, timeout))

    def cancel(self) -> bool:
        """End the run, or ask its function to end; False when it had ended otherwise."""
        return self._link.run(self._calls.cancel(self._place))

    def retry(self) -> None:
        """Queue a failed or cancelled run once more.

        Raises:
            CallRejected: it is neither (409).
        """
        self._link.run(self._calls.retry(self._place))

    def events(self, after: str = "") -> Iterator[JobEvent]:
        """What happens to the run, until it ends; an answer that breaks off is asked for again from there on.

        Args:
            after: the id of an event: begin with the one that follows it.

        Raises:
            CallError: the chute could not be asked.
        """
        breaks = 0
        while True:
            try:
                with closing(self._link.events(self._calls.events(self._place, after))) as found:
                    for event in found:
                        breaks, after = 0, event.id
                        yield event
                        if is_end(event):
                            return
            except BrokenOff:
                breaks += 1
            self._link.run(self._calls.pause(breaks))

    def files(self) -> list[dict[str, Any]]:
        """What the run has left, once it has ended: path, size, content type and SHA-256 of each file."""
        return self._link.run(self._calls.files(self._place))

    def download(self, path: str, to: str | Path = ".") -> Path:
        """Fetch one of the files to the file `to`, or to the same path below the folder `to`; returns where it is.

        What is there already is replaced, once the whole file has come. An answer that breaks off is asked for again
        from there on.

        Raises:
            CallRejected: the run has left no such file (404), or its path leads out of the folder.
            CallError: it could not be fetched.
            OSError: it could not be written.
        """
        file = self._link.run(self._calls.file(self._place, path))
        with closing(Download(self._place, file, to)) as download:
            while not download.is_whole:
                try:
                    self._link.fetch(download)
                except BrokenOff as error:
                    download.note_break(error)
                    self._link.run(self._calls.pause(download.breaks))
            return download.finish()

    def __repr__(self) -> str:
        return f"<RemoteRun {self.id} of {self.job}>"


class Link:
    """A client's connection, as jobs use it.

    Args:
        run: carries out steps.
        send: sends a call; a good answer comes unread.
        exchange: knows which answers are good.
    """

    def __init__(
        self,
        run: "Run",
        send: Callable[[Call], AbstractContextManager[httpx2.Response]],
        exchange: Exchange,
    ) -> None:
        self.run = run
        self._send = send
        self._exchange = exchange

    def events(self, call: Call) -> Generator[JobEvent, None, None]:
        """The events of one answer.

        Raises:
            CallError: there was no good answer.
        """
        with self._send(call) as response:
            self._exchange.check(response)
            events = JobEvents()
            try:
                with stream_errors(response):
                    for chunk in response.iter_bytes():
                        yield from events.feed(chunk)
            except (CallFailed, ConnectionFailed) as error:
                raise BrokenOff from error

    def fetch(self, download: Download) -> None:
        """What is missing of a file, or a part of that.

        Raises:
            CallError: there was no good answer.
            OSError: it could not be written.
        """
        with self._send(download.call()) as response:
            self._exchange.check(response)
            download.begin(response)
            try:
                with stream_errors(response):
                    for chunk in response.iter_bytes():
                        download.write(chunk)
            except (CallFailed, ConnectionFailed) as error:
                raise BrokenOff from error


class Run(Protocol):
    """Carries out the steps of an exchange."""

    def __call__(self, steps: Steps[T], /) -> T:
        """Their outcome."""
