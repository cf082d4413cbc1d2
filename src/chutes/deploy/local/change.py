"""From what runs to what is to run: start, wait, switch over, stop; or take it all back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from chutes.deploy.deployment import Revision
from chutes.deploy.local.commands import Order, prefix_of, stop_seconds
from chutes.deploy.local.here import Here
from chutes.deploy.local.machine_share import Share, can_bind, check_machine, free_port, share_gpus
from chutes.deploy.local.secret_names import GivenSecrets, give_secrets
from chutes.deploy.local.state import InstanceState, KeptRevision, State
from chutes.deploy.plan import Plan, Resources
from chutes.deploy.platforms import KEPT_REVISIONS
from chutes.errors import DeployError

__all__ = ["Wish", "change"]

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to run, and how it is to be reached.

    Attributes:
        plan: what is to run.
        note: what made it.
        host: the address of the port; None: the one that it had.
        port: the port; None: the one that it had.
        network: "host", "own", or "auto" to find out.
    """

    plan: Plan
    note: str
    host: str | None = None
    port: int | None = None
    network: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What a change does to the containers.

    Attributes:
        containers: the revision that new ones belong to.
        keep: those that go on.
        old: those that go when the new ones are ready.
        new: those that come.
        waits: the old ones have what the new ones need, and have to stop first.
    """

    containers: int
    keep: tuple[InstanceState, ...]
    old: tuple[InstanceState, ...]
    new: tuple[InstanceState, ...] = ()
    waits: bool = False


def change(here: Here, wish: Wish) -> State:
    """Have a plan run; returns what is remembered then.

    Raises:
        DeployError: there is no room for it, or it did not get ready; then everything is as before.
    """
    plan = wish.plan
    if plan.resources != Resources():
        check_machine(plan.resources, here.hardware.look())
    before = _tidied(here, _opened(here, wish))
    volume = prefix_of(plan.slug)
    is_new_volume = here.containers.make_volume(volume)
    number = before.next_number
    kept = _revision(wish, number)
    step: _Step | None = None
    secrets = GivenSecrets()
    try:
        here.containers.make_models_volume(plan.image)
        before = _with_network(here, before, wish)
        step = _shared_out(here, before, plan, _step(here, before, plan, wish.note, number))
        kept = replace(kept, containers=step.containers)
        keep_secrets = step.containers != number
        secrets = give_secrets(here, before, plan, number=number, keep=keep_secrets)
        after = _started(here, before, step, kept, secrets)
    except BaseException as exc:
        # A Ctrl-C too leaves things as they were.
        _take_back(here, before, kept, step, secrets)
        if is_new_volume and not before.current:
            here.containers.remove_volume(volume)
        if isinstance(exc, DeployError) and before.current:
            here.say(f"Revision {number} is given up; revision {before.current} answers as before.")
        raise
    return _finished(here, before, after, step)


def _opened(here: Here, wish: Wish) -> State:
    """What is remembered, with the address and port that it is to have from now on."""
    slug = wish.plan.slug
    with here.store.sharing_out():
        known = here.store.read(slug)
        host = wish.host or (known.host if known is not None else _HOST)
        port = wish.port or (known.port if known is not None else 0)
        is_same = known is not None and (known.host, known.port) == (host, port) and known.front is not None
        if not is_same:
            others = {one.port: one.slug for one in here.store.all() if one.slug != slug}
            port = port or free_port(here.ports_taken(), of_chute=True, host=host)
            if port in others:
                raise DeployError(f"Port {port} belongs to {others[port]}. Choose another one with --port.")
            is_own = known is not None and known.front is not None and known.front.port == port
            if not is_own and not can_bind(host, port):
                raise DeployError(
                    f"Something listens on port {port} of {host} already, or there is no such address. Choose "
                    "another one with --port."
                )
        state = (
            replace(known, host=host, port=port)
            if known is not None
            else State(slug=slug, host=host, port=port)
        )
        return here.store.write(state)


def _tidied(here: Here, state: State) -> State:
    """End what a change left behind that was killed: it never got to answer, or was to go."""
    front = [] if state.front is None else [state.front.name]
    known = [one.name for one in state.serving] + front
    left = [name for name in here.containers.ours(state.slug) if name not in known]
    if front and here.containers.look(front).get(front[0]) is None:
        state = replace(state, front=None)
    if left or len(state.instances) != len(state.serving):
        state = here.tell_front(state, state.serving, must=False)
        here.containers.remove(left)
    return here.store.write(replace(state, instances=state.serving))


def _with_network(here: Here, state: State, wish: Wish) -> State:
    if wish.network != "auto":
        return replace(state, network=wish.network)
    if state.network:
        return state
    name = f"{prefix_of(state.slug)}.network"
    return replace(state, network=here.containers.network_of(wish.plan.image, name))


def _revision(wish: Wish, number: int) -> KeptRevision:
    """It has failed until it is ready: whoever looks after a power cut sees what became of it."""
    revision = Revision(
        number=number, plan=wish.plan, created_at=datetime.now(UTC), outcome="failed", note=wish.note
    )
    return KeptRevision(revision=revision, containers=number)


def _step(here: Here, state: State, plan: Plan, note: str, number: int) -> _Step:
    """Which containers stay: those that run when only their number changes."""
    serving, before = state.serving, state.plan
    # A deploy may bring new values of secrets.
    brings_secrets = bool(plan.secrets) and note == "deploy"
    if before is None or not _differ_in_number(before, plan) or brings_secrets:
        return _Step(containers=number, keep=(), old=serving)
    found = here.containers.look([one.name for one in serving])
    running = [one for one in serving if one.name in found and found[one.name].is_running]
    keep = tuple(running[: _count(plan)])
    old = tuple(one for one in serving if one not in keep)
    return _Step(containers=state.containers_of(state.current), keep=keep, old=old)


def _shared_out(here: Here, state: State, plan: Plan, step: _Step) -> _Step:
    """Give the new ones their names, ports and GPUs; nobody else is given those."""
    count = _count(plan) - len(step.keep)
    with here.store.sharing_out():
        taken = {gpu for one in step.keep for gpu in one.gpus}
        taken |= {
            gpu
            for other in here.store.all()
            if other.slug != state.slug
            for one in other.instances
            for gpu in one.gpus
        }
        share = Share(((),) * count)
        if plan.resources.gpu_count and count:
            own = [gpu for one in step.old for gpu in one.gpus]
            share = share_gpus(plan.resources, here.hardware.look(), count, taken=taken, own=own)
        names = _free_names(state, step.containers, count)
        ports = here.ports_taken()
        new = []
        for name, gpus in zip(names, share.gpus, strict=True):
            port = free_port(ports)
            ports.add(port)
            new.append(InstanceState(name=name, port=port, revision=step.containers, gpus=gpus))
        here.store.write(replace(state, instances=(*state.instances, *new)))
    return replace(step, new=tuple(new), waits=share.waits)


def _started(here: Here, before: State, step: _Step, kept: KeptRevision, secrets: GivenSecrets) -> State:
    """Start the new ones, wait, and switch over; returns the state with them in it."""
    plan, number = kept.revision.plan, kept.revision.number
    if step.waits:
        here.say(
            "The GPUs are in use by what runs: it stops first, and calls wait until the new revision is ready."
        )
        here.containers.stop([one.name for one in step.old], stop_seconds(before.plan or plan))
    order = Order(
        tool=here.containers.runner.name,
        plan=plan,
        home=here.containers.home,
        network=before.network,
        secrets=secrets.names,
    )
    for instance in step.new:
        here.containers.start(order, instance, secrets.values)
    here.wait_until_ready(plan.slug, step.new)
    serving = (*step.keep, *step.new)
    after = here.tell_front(here.with_front(before, plan, number), serving)
    ready = replace(kept, revision=replace(kept.revision, outcome="ready"))
    return here.store.write(
        replace(
            after,
            current=number,
            revisions=(*before.revisions, ready)[-KEPT_REVISIONS:],
            instances=(*serving, *step.old),
            secrets=tuple(sorted((name, kept_as) for name, kept_as in secrets.names.items() if kept_as)),
        )
    )


def _finished(here: Here, before: State, after: State, step: _Step) -> State:
    """Let the old ones finish their calls, and have them gone."""
    old = [one.name for one in step.old]
    if before.front is not None and before.front != after.front:
        old.append(before.front.name)
    here.say(f"Revision {after.current} answers on {url_of(after)}.")
    if old:
        seconds = stop_seconds(before.plan or after.revisions[-1].revision.plan)
        here.say(f"What ran before finishes its calls, for at most {seconds} s.")
        here.containers.stop(old, seconds)
        here.containers.remove(old)
    used = {kept_as for _, kept_as in after.secrets}
    here.containers.remove_secrets([kept_as for _, kept_as in before.secrets if kept_as not in used])
    return here.store.write(replace(after, instances=(*step.keep, *step.new)))


def _take_back(
    here: Here, before: State, kept: KeptRevision, step: _Step | None, secrets: GivenSecrets
) -> None:
    """Leave what ran before as it was, and remember that this one failed."""
    if step is not None and step.waits:
        here.containers.start_again([one.name for one in step.old])
    known = here.store.read(before.slug) or before
    state = replace(
        before,
        generation=max(before.generation, known.generation),
        revisions=(*before.revisions, kept)[-KEPT_REVISIONS:],
    )
    if not before.current:
        here.containers.remove(here.containers.ours(before.slug))
        here.store.forget(before.slug)
    else:
        # It may have been told already of what goes now.
        state = here.tell_front(replace(state, generation=state.generation + 2), before.serving, must=False)
        front = [] if before.front is None else [before.front.name]
        known_names = [one.name for one in before.instances] + front
        here.containers.remove([n for n in here.containers.ours(before.slug) if n not in known_names])
        here.store.write(state)
    here.containers.remove_secrets(secrets.made)


def url_of(state: State) -> str:
    """Where a chute answers, as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(state.host, state.host)  # noqa: S104 - read, not bound
    return f"http://{f'[{host}]' if ':' in host and '[' not in host else host}:{state.port}"


def _count(plan: Plan) -> int:
    """One machine does not scale by the load: without a number there are as many as there have to be, and one at least."""
    return plan.instances if plan.instances is not None else max(1, plan.min_instances)


def _differ_in_number(before: Plan, plan: Plan) -> bool:
    """Whether only the number of instances changes, and something does."""
    numbers = {
        "instances": None,
        "min_instances": before.min_instances,
        "max_instances": max(before.max_instances, before.min_instances),
        "scaling_threshold": before.scaling_threshold,
        "shutdown_after_seconds": before.shutdown_after_seconds,
    }
    return before != plan and replace(before, instances=None) == replace(plan, **numbers)  # type: ignore[arg-type]


def _free_names(state: State, revision: int, count: int) -> Sequence[str]:
    used = {one.name for one in state.instances}
    names: list[str] = []
    index = 0
    while len(names) < count:
        index += 1
        name = f"{prefix_of(state.slug)}.{revision}-{index}"
        if name not in used:
            names.append(name)
    return names
