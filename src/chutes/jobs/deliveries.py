"""Tells webhooks of the ends of runs, again and again until they were taken, or told often enough."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chutes.errors import StoreError
from chutes.jobs.outage import Outage
from chutes.jobs.run import Run
from chutes.jobs.store import Store
from chutes.jobs.webhook import Webhook, WebhookStatus

__all__ = ["Answer", "Deliveries", "DeliveryOptions", "Sender"]

_LOOK_SECONDS = 1.0
_TROUBLE_SECONDS = 1.0
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How often webhooks are told.

    Attributes:
        at_once: attempts under way in this process, at most.
        max_attempts: attempts for one end of a run.
        backoff_base: seconds: the second attempt waits up to so long, each further one up to twice as long as that before.
        backoff_cap: seconds that an attempt waits, at most.
    """

    at_once: int = 16
    max_attempts: int = 15
    backoff_base: float = 10.0
    backoff_cap: float = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of an attempt.

    Attributes:
        error: why it failed; None when the receiver took it.
        is_final: the receiver wants no further attempt.
        wait: seconds for which it wants to be left alone.
    """

    error: str | None = None
    is_final: bool = False
    wait: float = 0.0


class Sender(Protocol):
    """Makes attempts."""

    async def send(self, url: str, run: Run) -> Answer:
        """Tell the receiver at `url` that a run has ended; raises nothing when it cannot be told."""


class Deliveries:
    """Makes what is due, beside the runs: it takes none of their places.

    Attributes:
        ended: called with the run after each attempt, and with what the attempt was: delivered, retried or failed.

    Args:
        store: where runs and their webhooks are kept.
        make_sender: what makes the attempts; called before the first one.
        options: how often.
    """

    def __init__(
        self, store: Store, make_sender: Callable[[], Sender], options: DeliveryOptions | None = None
    ) -> None:
        self.options = options or DeliveryOptions()
        self.ended: list[Callable[[Run, str], None]] = []
        self._store = store.webhooks
        self._make_sender = make_sender
        self._sender: Sender | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._loop_task: asyncio.Task[None] | None = None
        self._attempts: dict[asyncio.Task[None], Run] = {}
        self._looked = float("-inf")
        self._logger = logging.getLogger("chutes.jobs.webhooks")

    def start(self) -> None:
        """Begin."""
        self._loop_task = asyncio.create_task(self._work(), name="tell the webhooks")

    def note(self, run: Run) -> None:
        """A run has changed: when that was its end, tell its webhook at once."""
        if run.webhook is not None and run.is_final:
            self._wake.set()

    async def stop(self) -> None:
        """Begin no more attempts; those that do not end at once are left to another process, uncounted."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is None:
            return
        await asyncio.wait([self._loop_task], timeout=_TROUBLE_SECONDS)
        self._loop_task.cancel()
        if self._attempts:
            await asyncio.wait(list(self._attempts), timeout=_STOP_SECONDS)
        left = dict(self._attempts)
        for task in left:
            task.cancel()
        if not left:
            return
        await asyncio.wait(list(left), timeout=_TROUBLE_SECONDS)
        try:
            async with asyncio.timeout(_TROUBLE_SECONDS):
                for run in left.values():
                    await self._store.hand_back(run)
        except (StoreError, TimeoutError) as error:
            self._logger.warning("Webhooks that were being told wait for a minute: %s", error)

    async def _work(self) -> None:
        outage = Outage(self._logger, "Webhooks wait until it is back.", "Webhooks go on.")
        while not self._stopping:
            self._wake.clear()
            wait = _LOOK_SECONDS
            try:
                wait = await self._look()
                outage.end()
            except StoreError as error:
                outage.begin(error)
                wait = _TROUBLE_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self) -> float:
        """Begin what is due; returns the seconds after which to look again."""
        delivering, wait = await self._store.look()
        if delivering and time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._looked = time.monotonic()
            for run in await self._store.recover(self.options.max_attempts):
                self._tell(run)
                wait = 0.0
        free = self.options.at_once - len(self._attempts)
        if wait is None or free <= 0:
            return _LOOK_SECONDS
        if wait > 0:
            return min(wait, _LOOK_SECONDS)
        for run in await self._store.claim(free):
            if run.webhook is not None:
                self._begin(run, run.webhook)
        return 0.0 if len(self._attempts) < self.options.at_once else _LOOK_SECONDS

    def _begin(self, run: Run, webhook: Webhook) -> None:
        task = asyncio.create_task(self._attempt(run, webhook), name=f"tell the webhook of run {run.id}")
        self._attempts[task] = run
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._attempts[task]
        self._wake.set()

    async def _attempt(self, run: Run, webhook: Webhook) -> None:
        try:
            if self._sender is None:
                self._sender = self._make_sender()
            answer = await self._sender.send(webhook.url, run)
        except Exception as error:
            self._logger.exception("The webhook of run %s of job %r cannot be told.", run.id, run.job)
            answer = Answer(error=f"{type(error).__name__}: {error}"[:500])
        warned = False
        while True:
            try:
                stored = await self._store_answer(run, answer, webhook.attempts)
                break
            except StoreError as error:
                if self._stopping:
                    return
                if not warned:
                    text = "What became of the webhook of run %s is not stored yet: %s"
                    self._logger.warning(text, run.id, error)
                warned = True
                await asyncio.sleep(_TROUBLE_SECONDS)
        if stored is not None:
            self._tell(stored)

    async def _store_answer(self, run: Run, answer: Answer, attempts: int) -> Run | None:
        if answer.error is None:
            return await self._store.delivered(run)
        if answer.is_final or attempts >= self.options.max_attempts:
            return await self._store.failed(run, answer.error, None)
        # Full jitter, as for the attempts of runs.
        limit = min(self.options.backoff_cap, self.options.backoff_base * 2 ** min(attempts - 1, 32))
        seconds = max(answer.wait, random.uniform(0, limit))  # noqa: S311 - no secret
        return await self._store.failed(run, answer.error, int(seconds * 1000))

    def _tell(self, run: Run) -> None:
        if run.webhook is None:
            return
        outcome = _OUTCOMES[run.webhook.status]
        self._log(run, run.webhook)
        for listener in self.ended:
            listener(run, outcome)

    def _log(self, run: Run, webhook: Webhook) -> None:
        told = (webhook.attempts, run.id, run.job)
        if webhook.status is WebhookStatus.DELIVERED:
            self._logger.info("Attempt %s to tell the webhook of run %s of job %r went well.", *told)
            return
        text = "Attempt %s to tell the webhook of run %s of job %r failed, and is the last: %s"
        level = logging.ERROR
        if webhook.status is WebhookStatus.PENDING:
            text = "Attempt %s to tell the webhook of run %s of job %r failed, and is followed by another: %s"
            level = logging.WARNING
        self._logger.log(level, text, *told, webhook.last_error)


_OUTCOMES = {
    WebhookStatus.DELIVERED: "delivered",
    WebhookStatus.PENDING: "retried",
    WebhookStatus.FAILED: "failed",
}
