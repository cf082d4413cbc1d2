"""Secrets of a chute in the container tool: podman keeps them under names, docker in its containers."""

import hashlib
from dataclasses import dataclass, field

from chutes.deploy.local.here import Here
from chutes.deploy.local.state import State
from chutes.deploy.plan import Plan, Secret
from chutes.errors import DeployError

__all__ = ["GivenSecrets", "give_secrets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSecrets:
    """How instances get their secrets.

    Attributes:
        names: what the tool calls each; None where the value is handed over.
        values: the values that are handed over.
        made: names that are new.
    """

    names: dict[str, str | None] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict, repr=False)
    made: list[str] = field(default_factory=list)


def give_secrets(here: Here, state: State, plan: Plan, *, number: int, keep: bool) -> GivenSecrets:
    """Have all secrets of a plan where its instances find them.

    A secret of podman is never changed: a container that starts again reads it anew, so a new value gets a new name.

    Args:
        here: this machine.
        state: what is remembered of the chute.
        plan: what is to run.
        number: the revision, part of new names.
        keep: take the values that the running instances have.

    Raises:
        DeployError: one has no value, neither here nor from before.
    """
    given = GivenSecrets()
    give = _kept_by_podman if here.containers.runner.name == "podman" else _handed_over
    try:
        for secret in plan.secrets:
            value = None if keep else here.value_of(secret)
            give(here, given, secret, value, state=state, number=number)
    except BaseException:
        here.containers.remove_secrets(given.made)
        raise
    return given


def _kept_by_podman(
    here: Here, given: GivenSecrets, secret: Secret, value: str | None, *, state: State, number: int
) -> None:
    kept = dict(state.secrets).get(secret.name)
    if value is None and kept is not None:
        given.names[secret.name] = kept
        return
    # Names have at most 64 characters, of which users may use up 126 and a variable all.
    name = f"chutes-{_short(state.slug)}-{_short(secret.name)}-{number}"
    here.containers.keep_secret(name, value or _needed(here, secret))
    given.made.append(name)
    given.names[secret.name] = name


def _handed_over(
    here: Here, given: GivenSecrets, secret: Secret, value: str | None, *, state: State, number: int
) -> None:
    del number
    given.names[secret.name] = None
    given.values[secret.name] = value or _given_before(here, state, secret) or _needed(here, secret)


def _needed(here: Here, secret: Secret) -> str:
    value = here.value_of(secret)
    if not value:
        raise _no_value(secret)
    return value


def _given_before(here: Here, state: State, secret: Secret) -> str | None:
    """What running instances have."""
    for instance in state.serving:
        value = here.containers.variables_of(instance.name).get(secret.name)
        if value is not None:
            return value
    return None


def _no_value(secret: Secret) -> DeployError:
    where = f"the file '{secret.file}'" if secret.file is not None else f"the variable {secret.name}"
    return DeployError(
        f"The secret {secret.name} has no value: {where} has none here, and none was given before. Set it, or write "
        f"--secret {secret.name}=FILE."
    )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
