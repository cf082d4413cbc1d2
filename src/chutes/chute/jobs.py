"""The jobs of a chute: a mapping from names to descriptions, and the door to their runs."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chutes.chute.job import Job
    from chutes.jobs.current import CurrentRun
    from chutes.jobs.run import Run, Status
    from chutes.jobs.service import JobRun, JobService

__all__ = ["Jobs"]


class Jobs(Mapping[str, "Job"]):
    """What `chute.jobs` is: the `Job` of each name, and what one does with them."""

    def __init__(self, jobs: "Mapping[str, Job]", service: "Callable[[], JobService]") -> None:
        self._jobs = jobs
        self._service = service

    def __getitem__(self, name: str) -> "Job":
        return self._jobs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def __repr__(self) -> str:
        return f"<Jobs: {', '.join(self._jobs) or 'none'}>"

    @property
    def current(self) -> "CurrentRun":
        """The run that the caller is part of: its id, its attempt, its progress.

        Raises:
            LookupError: the caller is no job's function.
        """
        return self._service().current

    async def submit(
        self,
        job: str | Callable[..., Any],
        /,
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
        **arguments: Any,
    ) -> "JobRun":
        """Accept a run of `job`, given by its name or its function: once this returns, nothing loses it.

        Args:
            job: its name or its function.
            key: submitting once more with the same key returns the same run.
            delay: seconds before it may begin.
            priority: higher ones go first.
            webhook: address that is told of the run's end, by a signed POST.
            **arguments: of the function, by name. For a function that itself takes a `key`, see `submit_mapping`.

        Raises:
            UnknownJob: there is no such job.
            InvalidArguments: the arguments do not fit the function, or one of the others cannot be.
            KeyConflict: the key was used with other arguments, or another webhook.
            StoreError: it could not be stored.
        """
        return await self.submit_mapping(
            job, arguments, key=key, delay=delay, priority=priority, webhook=webhook
        )

    async def submit_mapping(
        self,
        job: str | Callable[..., Any],
        /,
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
    ) -> "JobRun":
        """`submit`, with the arguments of the function as one mapping."""
        run, _is_new = await self._service().submit(
            job, arguments, key=key, delay=delay, priority=priority, webhook=webhook
        )
        return run

    async def run(self, run_id: str, /) -> "JobRun":
        """A run by its id.

        Raises:
            UnknownJob: there is none; runs are removed some time after their end.
        """
        return await self._service().find(run_id)

    async def runs(
        self,
        job: str | None = None,
        *,
        status: "Status | None" = None,
        before: str | None = None,
        count: int = 50,
    ) -> "list[Run]":
        """Runs, the newest first; `before` is the id of the last one of the page before."""
        return list(await self._service().runs(job, status, before, count))
