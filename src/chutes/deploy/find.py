"""The platform of a name, with its options; what a platform needs is imported when it is asked for."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from chutes.build import Context
from chutes.deploy.plan import Secret
from chutes.deploy.platforms import Platform, Say
from chutes.deploy.secret_values import secret_value
from chutes.errors import DeployError
from chutes.settings import Settings, variable
from chutes.suggestions import did_you_mean

__all__ = [
    "PLATFORMS",
    "PlatformOptions",
    "can_run_containers",
    "check_platform",
    "find_platform",
    "manifest_changes",
]

PLATFORMS = ("local", "kubernetes", "ray")

_OWNERS = {
    "host": "local",
    "port": "local",
    "namespace": "kubernetes",
    "context": "kubernetes",
    "form": "kubernetes",
    "ingress_host": "kubernetes",
    "any_node": "kubernetes",
    "address": "ray",
}
_DASHBOARD = "http://127.0.0.1:8265"
# Nodes may have to be started, and packages to be installed on them.
_RAY_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOptions:
    """How a platform is to be reached; None leaves its own default.

    Attributes:
        tool: the container tool of this machine.
        host: the address that a chute on this machine binds.
        port: its port.
        namespace: of Kubernetes.
        context: the cluster, as kubectl calls it.
        form: of the manifests: deployment, keda or knative.
        ingress_host: the name that a chute on Kubernetes is called by from outside.
        any_node: ask no node whether it has what the chute asks for.
        address: the dashboard of a Ray cluster.
        timeout: seconds in which a revision has to get ready.
        files: of the chute that is to be applied, for a platform that takes them rather than an image.
        secrets: those of the plan that is to be applied.
    """

    tool: str | None = None
    host: str | None = None
    port: int | None = None
    namespace: str | None = None
    context: str | None = None
    form: str | None = None
    ingress_host: str | None = None
    any_node: bool | None = None
    address: str | None = None
    timeout: float | None = None
    files: Context | None = None
    secrets: tuple[Secret, ...] = ()


def check_platform(name: str) -> str:
    """Return the name of a platform.

    Raises:
        DeployError: there is none of that name.
    """
    if name not in PLATFORMS:
        raise DeployError(
            f"Unknown platform {name!r}.{did_you_mean(name, PLATFORMS)} It is one of {', '.join(PLATFORMS)}."
        )
    return name


def find_platform(name: str, settings: Settings, options: PlatformOptions, say: Say) -> Platform:
    """The platform of a name.

    Args:
        name: one of `PLATFORMS`.
        settings: say what the options leave open.
        options: how to reach it.
        say: gets the commands that it runs.

    Raises:
        DeployError: there is none of that name, an option is another one's, or its program is not installed.
    """
    check_platform(name)
    for option, owner in _OWNERS.items():
        if owner != name and getattr(options, option) is not None:
            raise DeployError(
                f"--{option.replace('_', '-')} belongs to --to {owner}, and this is --to {name}."
            )
    if name == "kubernetes":
        return _kubernetes(options, say)
    return _ray(settings, options) if name == "ray" else _local(settings, options, say)


def can_run_containers(settings: Settings, options: PlatformOptions) -> bool:
    """Whether this machine has a program that runs containers, or one was named."""
    from chutes.deploy.local.runner import TOOLS

    return bool(options.tool or settings.container_tool) or any(map(shutil.which, TOOLS))


def _local(settings: Settings, options: PlatformOptions, say: Say) -> Platform:
    from chutes.deploy.local import LocalPlatform, find_runner

    platform = LocalPlatform(
        runner=find_runner(options.tool or settings.container_tool, lambda command: say(f"$ {command}")),
        home=settings.home,
        host=options.host,
        port=options.port,
    )
    return platform if options.timeout is None else replace(platform, ready_seconds=options.timeout)


def _kubernetes(options: PlatformOptions, say: Say) -> Platform:
    from chutes.deploy.kubernetes import KubernetesPlatform, find_kubectl

    platform = KubernetesPlatform(
        kubectl=find_kubectl(
            lambda command: say(f"$ {command}"), context=options.context, namespace=options.namespace
        ),
        changes=manifest_changes(options),
        check_nodes=not options.any_node,
    )
    return platform if options.timeout is None else replace(platform, ready_seconds=options.timeout)


def manifest_changes(options: PlatformOptions) -> dict[str, str]:
    """What the manifests of a chute are to say otherwise than before."""
    given = {"form": options.form, "host": options.ingress_host}
    return {name: value for name, value in given.items() if value is not None}


def _ray(settings: Settings, options: PlatformOptions) -> Platform:
    from chutes.deploy.cluster import local_cluster
    from chutes.deploy.ray import RayPlatform

    own = local_cluster(settings)
    address = options.address or variable("RAY_API_SERVER_ADDRESS") or (own.dashboard if own else _DASHBOARD)
    is_own = own is not None and own.dashboard == address.rstrip("/")
    values = {secret.name: secret_value(secret) for secret in options.secrets}
    return RayPlatform(
        address=address,
        token=own.token if own is not None and is_own else _ray_token(),
        url=own.url if own is not None and is_own else None,
        context=options.files,
        secrets={name: value for name, value in values.items() if value is not None},
        timeout=_RAY_SECONDS if options.timeout is None else options.timeout,
    )


def _ray_token() -> str | None:
    """The token where Ray's own programs look for it."""
    if token := variable("RAY_AUTH_TOKEN"):
        return token
    file = Path(variable("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise DeployError(f"Cannot read the token of the Ray cluster in '{file}': {exc.strerror}.") from exc
