"""What can be done with chutes on any platform: put them there, find them by name, scale them, go back."""

import re
from dataclasses import dataclass

from chutes.deploy.deployment import Deployment, Revision
from chutes.deploy.plan import Plan
from chutes.deploy.platforms import Platform, Say
from chutes.errors import DeployError
from chutes.suggestions import did_you_mean

__all__ = ["Deployed", "check_name", "deploy", "find_deployment", "rollback", "scale"]

_BACK = re.compile(r"rollback to ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Deployed:
    """What came of a wish.

    Attributes:
        deployment: how the chute runs now.
        is_new: there is a new revision; otherwise nothing had to be done.
    """

    deployment: Deployment
    is_new: bool


def deploy(platform: Platform, plan: Plan, *, replace: bool = False, say: Say) -> Deployed:
    """Have a plan run as a new revision, unless exactly that runs already.

    A plan that leaves the number of instances to the load keeps the number that the chute was scaled to. One with secrets
    is always new: their values may have changed.

    Raises:
        DeployError: another file has the name, nothing there satisfies the plan, or it did not get ready.
    """
    before = check_name(platform, plan, replace=replace)
    if before is None:
        return Deployed(platform.apply(plan, note="deploy", say=say), is_new=True)
    wanted = plan
    if plan.instances is None and before.plan.instances is not None:
        wanted = plan.scaled(before.plan.instances)
        say(
            f"It was scaled to {wanted.instances}, and stays so; `chutes scale {plan.slug} auto` leaves it to the load."
        )
    if _runs_already(before, wanted):
        return Deployed(before, is_new=False)
    return Deployed(platform.apply(wanted, note="deploy", say=say), is_new=True)


def check_name(platform: Platform, plan: Plan, *, replace: bool = False) -> Deployment | None:
    """What runs under the name of a plan, None when it is free.

    Raises:
        DeployError: another file took it, and it is not to be replaced.
    """
    before = next((one for one in platform.deployments() if one.slug == plan.slug), None)
    if before is None or replace:
        return before
    there = before.plan.source
    if there and plan.source and there != plan.source:
        raise DeployError(
            f"The name '{plan.slug}' is taken by a chute from another file: {there}. This one is {plan.source}. Give this "
            "chute another name, or put it in the place of that one with --replace."
        )
    return before


def find_deployment(platform: Platform, name: str) -> Deployment:
    """The chute of this name: `username/name`, or the name alone when only one username has it.

    Raises:
        DeployError: there is none, or there are several.
    """
    running = {one.slug: one for one in platform.deployments()}
    if name in running:
        return running[name]
    alike = [slug for slug in running if slug.partition("/")[2] == name]
    if len(alike) == 1:
        return running[alike[0]]
    if alike:
        raise DeployError(f"Several chutes are called '{name}': {', '.join(alike)}. Write one of these.")
    if not running:
        raise DeployError(f"No chute '{name}' runs here: none at all does.")
    near = did_you_mean(name, [*running, *(slug.partition("/")[2] for slug in running)])
    raise DeployError(f"No chute '{name}' runs here.{near or f' There are: {_listed(list(running))}.'}")


def scale(platform: Platform, name: str, instances: int | None, *, say: Say) -> Deployed:
    """Give a chute a fixed number of instances, or None: as many as the load asks for; failed ones are replaced.

    Raises:
        DeployError: there is no such chute, the number cannot be, or the platform has no room for it.
    """
    before = find_deployment(platform, name)
    plan = before.plan.scaled(instances)
    if plan == before.plan and not _is_broken(before):
        return Deployed(before, is_new=False)
    note = "scale by the load" if instances is None else f"scale to {instances}"
    return Deployed(platform.apply(plan, note=note, say=say), is_new=True)


def rollback(platform: Platform, name: str, number: int | None = None, *, say: Say) -> Deployed:
    """Have an older revision run again, as a new one.

    Without a number it is the last one before the current that got ready and was another plan: a second rollback goes
    further back, not forth.

    Raises:
        DeployError: there is no such chute or revision, or the revision never got ready.
    """
    before = find_deployment(platform, name)
    target = _previous(before) if number is None else _numbered(before, number)
    if target.number == before.current:
        return Deployed(before, is_new=False)
    return Deployed(platform.apply(target.plan, note=f"rollback to {target.number}", say=say), is_new=True)


def _runs_already(before: Deployment, plan: Plan) -> bool:
    if before.plan != plan or not plan.digest or plan.secrets:
        return False
    if before.revision(before.current).outcome == "failed" or _is_broken(before):
        return False
    may_be_idle = plan.instances == 0 or (plan.instances is None and plan.min_instances == 0)
    return before.ready > 0 or may_be_idle


def _is_broken(deployment: Deployment) -> bool:
    return any(instance.state == "failed" for instance in deployment.instances)


def _previous(before: Deployment) -> Revision:
    """The last ready one before the current; a revision that went back counts as the one that it went back to."""
    origin = _origin(before)
    older = [
        one
        for one in before.revisions
        if one.number < origin and one.outcome == "ready" and one.plan != before.plan
    ]
    if not older:
        raise DeployError(
            f"No revision of {before.slug} before {origin} is kept that got ready and was different. "
            f"`chutes status {before.slug}` lists them; `chutes rollback {before.slug} NUMBER` takes any of them."
        )
    return older[-1]


def _origin(before: Deployment) -> int:
    number = before.current
    revisions = {one.number: one for one in before.revisions}
    while number in revisions and (back := _BACK.fullmatch(revisions[number].note)):
        number = int(back[1])
    return number


def _numbered(before: Deployment, number: int) -> Revision:
    try:
        revision = before.revision(number)
    except KeyError:
        kept = ", ".join(str(one.number) for one in before.revisions)
        raise DeployError(f"There is no revision {number} of {before.slug}. Kept are: {kept}.") from None
    if revision.outcome == "failed":
        raise DeployError(
            f"Revision {number} of {before.slug} never got ready, so there is no going back to it."
        )
    return revision


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
