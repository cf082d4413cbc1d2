"""What every step of a change needs: the container tool, the memory, and how a chute is to be reached."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chutes.deploy.local.asking import front_status, is_ready
from chutes.deploy.local.commands import prefix_of
from chutes.deploy.local.containers import Containers
from chutes.deploy.local.front import FRONT
from chutes.deploy.local.machine_share import free_port
from chutes.deploy.local.state import FrontState, InstanceState, State, Store, write_whole
from chutes.deploy.plan import Plan, Secret
from chutes.deploy.platforms import Say
from chutes.engines.hardware import HardwareProbe
from chutes.errors import DeployError

__all__ = ["Here"]

_FRONT_SECONDS = 30.0
_SAID_EVERY = 20.0
_LOOK_EVERY = 1.0
_PAUSE = 0.1
# For so long a new connection waits while no instance is ready.
_HOLD_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """This machine.

    Attributes:
        containers: the container tool.
        store: what is remembered.
        hardware: finds out what the machine has.
        value_of: the value of a secret, None where there is none.
        ready_seconds: how long instances may take to get ready.
        say: gets progress.
    """

    containers: Containers
    store: Store
    hardware: HardwareProbe
    value_of: Callable[[Secret], str | None]
    ready_seconds: float
    say: Say

    def wait_until_ready(self, slug: str, instances: Sequence[InstanceState]) -> None:
        """Wait for all of them.

        Raises:
            DeployError: one ended, or the time is over; with the last lines that it wrote.
        """
        names = [one.name for one in instances]
        begin = looked = said = time.monotonic()
        pending = list(instances)
        while pending:
            pending = [one for one in pending if not is_ready(one.port)]
            now = time.monotonic()
            if not pending or now - looked > _LOOK_EVERY:
                self._check_running(slug, names)
                looked = now
            if pending and now - begin > self.ready_seconds:
                raise DeployError(
                    f"{slug} was not ready after {self.ready_seconds:g} seconds. {self._last_words(pending[0].name)}"
                )
            if pending and now - said > _SAID_EVERY:
                self.say(
                    f"Waiting for {pending[0].name}, {now - begin:.0f} s so far.{self._last_word(pending[0].name)}"
                )
                said = now
            if pending:
                time.sleep(_PAUSE)

    def tell_front(self, state: State, instances: Sequence[InstanceState], *, must: bool = True) -> State:
        """Have new connections go to these and no others; returns the state with its new generation.

        Args:
            state: what is remembered.
            instances: those that are to get connections.
            must: a front that does not run is a failure; otherwise it will read of it when it does.

        Raises:
            DeployError: the front does not take it on.
        """
        told = replace(state, generation=state.generation + 1)
        backends = [{"name": one.name, "port": one.port} for one in instances]
        text = json.dumps({"generation": told.generation, "hold": _HOLD_SECONDS, "backends": backends})
        write_whole(self._front_folder(state.slug) / "backends.json", text)
        if state.front is not None and (must or front_status(state.front.control) is not None):
            self._wait_for_front(state.front, told.generation)
        return told

    def with_front(self, state: State, plan: Plan, number: int) -> State:
        """The state with a front that runs and that this version can speak with; one that is there is kept if it can be."""
        known = state.front
        wanted = FrontState(
            name=f"{prefix_of(state.slug)}.front-{number}",
            host=state.host,
            port=state.port,
            control=0,
            number=FRONT,
        )
        if known is not None and replace(known, name=wanted.name, control=0) == wanted:
            there = self.containers.look([known.name]).get(known.name)
            if there is not None and there.is_running:
                return state
            if there is not None:
                self.containers.start_again([known.name])
                return state
        with self.store.sharing_out():
            wanted = replace(wanted, control=free_port(self.ports_taken()))
        self.containers.start_front(wanted, plan, self._front_folder(state.slug))
        return replace(state, front=wanted)

    def ports_taken(self) -> set[int]:
        """All ports that were given away."""
        ports: set[int] = set()
        for state in self.store.all():
            ports |= {state.port, *(one.port for one in state.instances)}
            if state.front is not None:
                ports |= {state.front.port, state.front.control}
        return ports

    def _front_folder(self, slug: str) -> Path:
        """What a front reads; it runs as another user, whom our umask may keep out."""
        folder = self.store.folder(slug) / "front"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        return folder

    def _wait_for_front(self, front: FrontState, generation: int) -> None:
        begin = looked = time.monotonic()
        restarts: int | None = None
        while True:
            status = front_status(front.control)
            if status is not None and status["generation"] >= generation:
                return
            now = time.monotonic()
            if now - looked > _LOOK_EVERY:
                restarts, looked = self._check_front(front, restarts), now
            if now - begin > _FRONT_SECONDS:
                raise DeployError(
                    f"The front of port {front.port} does not answer. {self._last_words(front.name)}"
                )
            time.sleep(_PAUSE)

    def _check_front(self, front: FrontState, restarts: int | None) -> int:
        """It may have been started again long ago, but not since we wait."""
        there = self.containers.look([front.name]).get(front.name)
        if there is None or not there.is_running or there.restarts > (restarts or there.restarts):
            raise DeployError(
                f"The front of {front.host}:{front.port} does not run. {self._last_words(front.name)}"
            )
        return there.restarts

    def _check_running(self, slug: str, names: Sequence[str]) -> None:
        found = self.containers.look(names)
        for name in names:
            one = found.get(name)
            if one is None:
                raise DeployError(f"{slug} did not get ready: its container '{name}' is gone.")
            if one.restarts or not (one.is_running or one.status in {"created", "initialized"}):
                raise DeployError(f"{slug} did not get ready: {one.how_it_ended}. {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        lines = self.containers.last_lines(name)
        if not lines:
            return "It wrote nothing."
        return "The last lines that it wrote:\n" + "\n".join(f"  {line}" for line in lines)

    def _last_word(self, name: str) -> str:
        lines = self.containers.last_lines(name, 1)
        return f" It wrote last: {lines[-1]}" if lines else ""
