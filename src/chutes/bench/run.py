"""One run against a real chute, from the warm-up to the report."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress

from chutes.bench.http_line import Endpoint, HttpLine, LoopTimer
from chutes.bench.line import Answer, Line, WireRequest
from chutes.bench.load import Means, load_for
from chutes.bench.plan import Plan
from chutes.bench.report import Report, report_of
from chutes.bench.requests import Target
from chutes.bench.server_side import Scrape, read_metrics, server_side
from chutes.bench.strain import StrainGauge
from chutes.bench.tally import Tally

__all__ = ["OnLook", "measure"]

_EVERY = 0.5
_LONGEST_LOOK = 2.0

OnLook = Callable[[Tally, float], object]
"""Called now and then with what was counted so far, and the seconds since the run began."""


async def measure(
    plan: Plan, target: Target, *, stop: asyncio.Event, on_look: OnLook | None = None
) -> Report:
    """Load a chute, and report.

    Args:
        plan: how.
        target: what to send, and where.
        stop: ends the run at once when it is set; what was measured so far is reported.
        on_look: told of the progress.
    """
    run = _Run(plan, target, stop)
    try:
        if plan.warmup:
            await run.load(plan.warming(), Tally())
        return await run.measured(on_look)
    finally:
        run.close()


class _Run:
    """The connections of one run, and what happens over them."""

    def __init__(self, plan: Plan, target: Target, stop: asyncio.Event) -> None:
        self._plan = plan
        self._stop = stop
        self._timer = LoopTimer(asyncio.get_running_loop())
        self._lines: list[Line] = [HttpLine(target.endpoint) for _ in range(plan.clients)]
        self._requests = itertools.cycle(target.requests)
        self._metrics = _Metrics(target.endpoint, target.metrics)

    async def load(self, plan: Plan, tally: Tally) -> float:
        """Load to the end of the plan, or until all is stopped; good answers a second."""
        ended = asyncio.Event()
        means = Means(
            plan=plan,
            lines=self._lines[: plan.clients],
            requests=self._requests,
            timer=self._timer,
            tally=tally,
            on_end=ended.set,
        )
        load = load_for(means)
        load.start()
        waits = [asyncio.create_task(event.wait()) for event in (ended, self._stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        load.stop()
        return load.throughput()

    async def measured(self, on_look: OnLook | None) -> Report:
        """The load that counts."""
        tally, gauge = Tally(), StrainGauge(self._timer)
        await self._metrics.look()
        watching = asyncio.create_task(self._watch(tally, on_look))
        began = self._timer.now()
        gauge.start()
        per_second = await self.load(self._plan, tally)
        seconds = self._timer.now() - began
        strain = gauge.stop(lateness=tally.lateness, held=tally.held)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await self._metrics.look()
        return report_of(
            self._plan,
            tally,
            seconds=seconds,
            per_second=per_second,
            server=server_side(self._metrics.looks, self._metrics.seconds),
            strain=strain,
            interrupted=self._stop.is_set(),
        )

    def close(self) -> None:
        """Close all connections."""
        self._metrics.close()
        for line in self._lines:
            line.close()

    async def _watch(self, tally: Tally, on_look: OnLook | None) -> None:
        began = self._timer.now()
        while True:
            await asyncio.sleep(_EVERY)
            await self._metrics.look()
            if on_look is not None:
                on_look(tally, self._timer.now() - began)


class _Metrics:
    """Looks at the chute's `/metrics`, over a connection of its own.

    Attributes:
        looks: what was seen, in order; none where there is nothing to see.
    """

    def __init__(self, endpoint: Endpoint, request: WireRequest) -> None:
        self._line = HttpLine(endpoint)
        self._request = request
        self._texts: list[bytes] = []
        self._times: list[float] = []
        self._is_there = True

    @property
    def looks(self) -> list[Scrape]:
        """What was seen, in order. It is read only now, since that takes time from the load."""
        try:
            return [read_metrics(text.decode(errors="replace")) for text in self._texts]
        except ValueError:
            return []

    @property
    def seconds(self) -> float:
        """From the first look to the last."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    async def look(self) -> None:
        """Look once more, as long as there is something to see."""
        if not self._is_there:
            return
        came: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._line.send(self._request, came.set_result)
        try:
            answer = await asyncio.wait_for(came, _LONGEST_LOOK)
        except TimeoutError:
            # A chute that computes in its event loop answers nothing meanwhile; one that has answered will again.
            self._is_there = bool(self._texts)
            return
        finally:
            if came.cancelled():
                self._line.close()
        self._is_there = answer.good
        if self._is_there:
            self._texts.append(answer.body)
            self._times.append(answer.ended)

    def close(self) -> None:
        """Close the connection."""
        self._line.close()
