"""Whether a chute is alive, ready and healthy."""

import asyncio
import inspect
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chutes.json_values import to_plain
from chutes.serve.lifecycle import Lifecycle, State
from chutes.serve.threads import Threads
from chutes.serve.watchdog import Watchdog

if TYPE_CHECKING:
    from chutes.chute.chute import Chute
    from chutes.serve.engine import ServedEngine

__all__ = ["Health"]

_KEPT_SECONDS = 1.0
_LIMIT_SECONDS = 10.0


class Health:
    """Runs the chute's health check, one at a time, and keeps its answer for a second."""

    def __init__(
        self,
        chute: "Chute",
        lifecycle: Lifecycle,
        threads: Threads,
        watchdog: Watchdog,
        engine: "ServedEngine | None" = None,
    ) -> None:
        self._chute = chute
        self._engine = engine
        self._watchdog = watchdog
        self._lifecycle = lifecycle
        self._threads = threads
        self._checking: asyncio.Task[dict[str, Any]] | None = None
        self._calling: asyncio.Task[Any] | None = None
        self._start = 0
        self._kept: tuple[float, dict[str, Any]] = (0.0, {})
        self._logger = logging.getLogger("chutes.serve")

    def alive(self) -> tuple[int, dict[str, str]]:
        """Status and body of `/livez`: it fails once code has blocked the event loop for `stall_limit`; any thread may ask."""
        blocked, limit = self._watchdog.blocked_seconds, self._chute.config.stall_limit
        if not limit or blocked < limit:
            return 200, {"status": "alive"}
        return 503, {
            "status": "stalled",
            "detail": f"The event loop has been blocked for {blocked:.0f} s. The log says by what.",
        }

    def ready(self) -> tuple[int, dict[str, str]]:
        """Status and body of `/readyz`: the lifecycle, and the engine if there is one; any thread may ask."""
        state = self._lifecycle.state
        if state is State.NEW and not self._lifecycle.has_hooks:
            state = State.READY
        if state is State.READY and self._engine is not None and not self._engine.is_ready:
            return 503, {"status": "engine not ready"}
        return (200 if state is State.READY else 503), {"status": state.value}

    async def report(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/health`: what the check says, and what became of the background tasks."""
        status, lifecycle = self.ready()
        engine = {"engine": self._engine.report()} if self._engine is not None else {}
        if lifecycle["status"] != State.READY.value:
            return status, {**lifecycle, **engine}
        body = {**await self._checked(), **engine}
        if self._lifecycle.crashed:
            body |= {"status": "unhealthy", "crashed_tasks": sorted(self._lifecycle.crashed)}
        return (200 if body.get("status") == "healthy" else 503), body

    async def _checked(self) -> dict[str, Any]:
        if self._start != self._lifecycle.starts:
            # What an earlier run left behind belongs to its event loop.
            self._start, self._checking, self._calling = self._lifecycle.starts, None, None
            self._kept = (0.0, {})
        until, kept = self._kept
        if time.monotonic() < until:
            return kept
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check(), name="health check")
        # Others may wait for the same check: a client that leaves must not end it.
        return await asyncio.shield(self._checking)

    async def _check(self) -> dict[str, Any]:
        if self._calling is None or self._calling.done():
            self._calling = asyncio.create_task(self._call(), name="health check's own function")
        # A thread cannot be stopped: its call is left to itself, and the next check waits for the same one.
        await asyncio.wait([self._calling], timeout=_LIMIT_SECONDS)
        body = self._body(self._calling)
        self._kept = (time.monotonic() + _KEPT_SECONDS, body)
        return body

    def _body(self, call: asyncio.Task[Any]) -> dict[str, Any]:
        if not call.done() or call.cancelled():
            call.cancel()
            self._logger.error("The health check took more than %s s.", _LIMIT_SECONDS)
            return {"status": "unhealthy", "detail": f"The health check took more than {_LIMIT_SECONDS:g} s."}
        try:
            result = call.result()
            return to_plain(dict(result)) if isinstance(result, Mapping) else self._odd(result)
        except Exception:
            self._logger.exception("The health check failed.")
            return {"status": "unhealthy", "detail": "The health check failed; the log says why."}

    async def _call(self) -> Any:
        check = self._chute.health_check
        own = inspect.ismethod(check) and check.__self__ is self._chute
        wants_chute = not own and any(
            parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            and parameter.default is parameter.empty
            for parameter in inspect.signature(check).parameters.values()
        )
        arguments: tuple[Any, ...] = (self._chute,) if wants_chute else ()
        if inspect.iscoroutinefunction(check):
            return await check(*arguments)
        result: Any = await self._threads.run(check, *arguments)
        return await result if inspect.isawaitable(result) else result

    def _odd(self, result: object) -> dict[str, Any]:
        self._logger.error(
            "The health check returned %r; it returns a dict such as {'status': 'healthy'}.", result
        )
        return {"status": "unhealthy", "detail": "The health check returned no dict."}
