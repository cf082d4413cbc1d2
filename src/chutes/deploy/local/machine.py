"""The platform 'local': one machine, and the containers on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chutes.deploy.deployment import Deployment, Instance
from chutes.deploy.deployment import InstanceState as InstanceStatus
from chutes.deploy.local.asking import is_ready
from chutes.deploy.local.change import Wish, change, url_of
from chutes.deploy.local.commands import prefix_of, stop_seconds
from chutes.deploy.local.containers import Container, Containers
from chutes.deploy.local.here import Here
from chutes.deploy.local.reading import read_logs
from chutes.deploy.local.runner import Runner
from chutes.deploy.local.state import InstanceState, State, Store
from chutes.deploy.plan import Plan, Secret
from chutes.deploy.platforms import Say
from chutes.deploy.secret_values import secret_value
from chutes.engines.hardware import HardwareProbe, MachineProbe
from chutes.errors import DeployError

__all__ = ["LocalPlatform", "Network"]

Network = Literal["auto", "host", "own"]


@dataclass(frozen=True, slots=True)
class LocalPlatform:
    """Runs chutes as containers of podman or docker on this machine.

    Each chute has one port, which it keeps. Without a number of instances one runs, or `min_instances`: nothing here scales
    by the load.

    Attributes:
        runner: the container tool, as `find_runner` finds it.
        home: the folder that keeps what is deployed, as `CHUTES_HOME` names it.
        host: the address that a chute's port is bound to; None: the one it had, or 127.0.0.1.
        port: the chute's port; None: the one it had, or a free one.
        network: whether instances use the machine's network ("host") or one of the tool ("own"); "auto" finds out which one
            the tool gives them.
        ready_seconds: how long an instance may take to get ready.
        hardware: finds out what the machine has.
        value_of: the value of a secret; None when there is none, and then the one that was given before is kept.
    """

    runner: Runner
    home: Path
    host: str | None = None
    port: int | None = None
    network: Network = "auto"
    ready_seconds: float = 3600
    hardware: HardwareProbe = field(default_factory=MachineProbe)
    value_of: Callable[[Secret], str | None] = secret_value

    def deployments(self) -> Sequence[Deployment]:
        """All chutes that were deployed here, sorted by their slug.

        Raises:
            DeployError: what is remembered of them cannot be read, or the container tool cannot be asked.
        """
        states = [state for state in self._store.all() if state.current]
        names = [one.name for state in states for one in state.instances]
        names += [state.front.name for state in states if state.front is not None]
        found = self._containers.look(names)
        return [_deployment(state, found) for state in states]

    def apply(self, plan: Plan, *, note: str, say: Say) -> Deployment:
        """Make it so as a new revision, wait until it is ready, and let what ran before finish its calls.

        Raises:
            DeployError: nothing here satisfies the plan, it did not get ready, or another command changes it right now.
        """
        if plan.egress is False:
            say(
                "Nothing on this machine keeps the chute from calling other hosts: allow_external_egress has no effect."
            )
        here = Here(
            containers=self._containers,
            store=self._store,
            hardware=self.hardware,
            value_of=self.value_of,
            ready_seconds=self.ready_seconds,
            say=say,
        )
        wish = Wish(plan=plan, note=note, host=self.host, port=self.port, network=self.network)
        with self._store.changing(plan.slug):
            state = change(here, wish)
        names = [one.name for one in state.instances] + ([state.front.name] if state.front else [])
        return _deployment(state, self._containers.look(names))

    def logs(self, slug: str, *, lines: int, follow: bool, instance: str | None = None) -> Iterator[str]:
        """The last lines that the instances wrote, and then those that come.

        Raises:
            DeployError: there is no such chute or instance.
        """
        names = [one.name for one in self._known(slug).instances]
        if instance is not None:
            names = [name for name in names if instance in (name, name.rpartition(".")[2])]
            if not names:
                raise DeployError(f"{slug} has no instance '{instance}'. `chutes status {slug}` lists them.")
        return read_logs(self.runner, names, lines=lines, follow=follow)

    def delete(self, slug: str, *, data: bool, say: Say) -> None:
        """End it and forget its revisions; with `data` also what it kept: its jobs, and what it wrote to `CHUTES_HOME`.

        Raises:
            DeployError: there is no such chute, or another command changes it right now.
        """
        self._known(slug)
        with self._store.changing(slug):
            state = self._known(slug)
            names = self._containers.ours(slug)
            running = [one.name for one in self._containers.look(names).values() if one.is_running]
            if running:
                plan = state.plan
                seconds = stop_seconds(plan) if plan is not None else 0
                say(f"{slug} finishes its calls, for at most {seconds} s.")
                self._containers.stop(running, seconds)
            self._containers.remove(names)
            self._containers.remove_secrets([name for _, name in state.secrets])
            volume = prefix_of(slug)
            if data:
                self._containers.remove_volume(volume)
            self._store.forget(slug)
        say(f"Deleted {slug}." if data else f"Deleted {slug}. Its data are kept in the volume '{volume}'.")

    @property
    def _containers(self) -> Containers:
        return Containers(self.runner, self.home)

    @property
    def _store(self) -> Store:
        return Store(self.home)

    def _known(self, slug: str) -> State:
        state = self._store.read(slug) if slug in self._store.slugs() else None
        if state is None:
            raise DeployError(f"No chute '{slug}' runs here.")
        return state


def _deployment(state: State, found: Mapping[str, Container]) -> Deployment:
    serving = {one.name for one in state.serving}
    front = None if state.front is None else found.get(state.front.name)
    is_reached = front is not None and front.is_running
    instances = []
    for one in state.instances:
        instance = _instance(one, found.get(one.name), is_serving=one.name in serving, current=state.current)
        if instance.state == "ready" and not is_reached:
            missing = f"nothing listens on port {state.port}: its front does not run; deploy again"
            instance = Instance(
                name=one.name,
                state="failed",
                revision=instance.revision,
                place=instance.place,
                detail=missing,
            )
        instances.append(instance)
    return Deployment(
        revisions=tuple(kept.revision for kept in state.revisions),
        current=state.current,
        instances=tuple(instances),
        url=url_of(state),
    )


def _instance(
    known: InstanceState, container: Container | None, *, is_serving: bool, current: int
) -> Instance:
    revision = current if is_serving else known.revision
    place = f"127.0.0.1:{known.port}"
    if container is None:
        gone = "its container is gone; deploy again"
        return Instance(name=known.name, state="failed", revision=revision, place=place, detail=gone)
    if not container.is_running:
        return Instance(
            name=known.name,
            state="failed",
            revision=revision,
            place=place,
            detail=container.how_it_ended,
            restarts=container.restarts,
        )
    ready = is_ready(known.port)
    detail = f"the last time {container.how_it_ended}" if container.restarts and not ready else ""
    if is_serving:
        return Instance(
            name=known.name,
            state="ready" if ready else "starting",
            revision=revision,
            place=place,
            detail=detail,
            restarts=container.restarts,
        )
    # While a change goes on, what comes has a higher number than what answers.
    moving: InstanceStatus = "starting" if known.revision > current else "draining"
    return Instance(
        name=known.name, state=moving, revision=revision, place=place, restarts=container.restarts
    )
