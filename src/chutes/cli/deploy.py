"""`chutes deploy`: build a chute's image, and have it run on a platform."""

import sys
from dataclasses import replace as changed
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from chutes.cli.arguments import Reference
from chutes.cli.build_context import read_chute, target_of
from chutes.cli.debugging import Debug
from chutes.cli.deploy_image import WantedImage, make_image, wanted_image
from chutes.cli.deploy_text import print_plan
from chutes.cli.deploy_variables import environment_of, secrets_of
from chutes.cli.platform_options import (
    Address,
    KubeContext,
    Namespace,
    To,
    Tool,
    open_platform,
    say,
    where_to,
)
from chutes.cli.reporting import refuse, warn
from chutes.deploy import Plan, Secret, make_plan
from chutes.deploy.find import PlatformOptions, can_run_containers
from chutes.deploy.preview import preview
from chutes.deploy.secret_values import check_secrets, looks_secret, secret_value
from chutes.deploy.service import check_name
from chutes.deploy.service import deploy as put_there
from chutes.deploy.source import source_of
from chutes.loading import LoadedChute
from chutes.settings import Settings

__all__ = ["deploy"]

_HOST = "127.0.0.1"
_PORT = 8000
_NOT_DEPLOYED = 1

_Image = Annotated[
    str | None,
    typer.Option(
        help="Run this image, and build none.", show_default="one that is built from the chute's files"
    ),
]
_Registry = Annotated[
    str | None,
    typer.Option(
        help="Host and path where a cluster gets the image, such as registry.example.com/team.",
        show_default="CHUTES_REGISTRY",
    ),
]
_Env = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        "-e",
        metavar="NAME[=VALUE]",
        help="A variable; without a value the one of this shell.",
        show_default=False,
    ),
]
_EnvFile = Annotated[list[Path] | None, typer.Option(help="A file of lines NAME=VALUE.", show_default=False)]
_Secret = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=FILE]",
        help="A secret variable, with the value of this shell or of a file. Only the platform keeps it.",
        show_default=False,
    ),
]
_Instances = Annotated[
    int | None,
    typer.Option(help="So many instances, whatever the load.", min=0, show_default="as the load asks for"),
]
_MinInstances = Annotated[
    int,
    typer.Option(help="At least so many; 0 lets an idle chute stop where it can start for a call.", min=0),
]
_Replace = Annotated[bool, typer.Option("--replace", help="Take the name from a chute of another file.")]
_DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print what would run and what the platform would get, and do nothing."),
]
_Host = Annotated[str | None, typer.Option(help="Address to bind on this machine.", show_default="127.0.0.1")]
_Port = Annotated[
    int | None,
    typer.Option(
        help="Port on this machine.", min=1, max=65535, show_default="the one it had, else a free one"
    ),
]
_Form = Annotated[
    str | None,
    typer.Option(
        help="On Kubernetes: deployment, or keda or knative, which stop an idle chute and start it for a call.",
        show_default="the one it had, else deployment",
    ),
]
_IngressHost = Annotated[
    str | None,
    typer.Option(
        help="On Kubernetes, the name that it is called by from outside.",
        show_default="the one it had, else none",
    ),
]
_AnyNode = Annotated[
    bool | None,
    typer.Option(
        "--any-node",
        help="Do not ask whether Kubernetes has a node that satisfies the selector: one is added when it is asked for.",
        show_default=False,
    ),
]
_Timeout = Annotated[
    float | None,
    typer.Option(help="Seconds in which it has to get ready.", min=1.0, show_default="the platform's"),
]


def deploy(
    reference: Reference,
    *,
    to: To = None,
    image: _Image = None,
    registry: _Registry = None,
    env: _Env = None,
    env_file: _EnvFile = None,
    secret: _Secret = None,
    instances: _Instances = None,
    min_instances: _MinInstances = 0,
    replace: _Replace = False,
    dry_run: _DryRun = False,
    tool: Tool = None,
    host: _Host = None,
    port: _Port = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    form: _Form = None,
    ingress_host: _IngressHost = None,
    any_node: _AnyNode = None,
    address: Address = None,
    timeout: _Timeout = None,
    debug: Debug = False,
) -> None:
    """Build the image of a chute, and have it run on a platform.

    What ran under its name before goes on until the new revision is ready, and stays when that fails. The last line on the
    standard output is the address; everything else goes to the standard error.
    """
    settings = Settings.from_env()
    where = where_to(to, settings)
    secrets = secrets_of(secret or [])
    options = PlatformOptions(
        tool=tool,
        host=host,
        port=port,
        namespace=namespace,
        context=context,
        form=form,
        ingress_host=ingress_host,
        any_node=any_node or None,
        address=address,
        timeout=timeout,
        secrets=secrets,
    )
    environment = _environment(env or [], env_file or [], secrets)
    loaded = read_chute(reference)
    wanted = wanted_image(loaded, where, image=image, registry=registry or settings.registry)
    plan = make_plan(
        loaded.chute,
        image=wanted.reference,
        digest=wanted.digest,
        source=source_of(loaded.place.file),
        target=target_of(loaded),
        environment=environment,
        secrets=secrets,
        instances=instances,
        min_instances=min_instances,
    )
    options = changed(options, files=wanted.context)
    if dry_run:
        _describe(plan, where, settings, options)
    elif where == "local" and not can_run_containers(settings, options):
        _print_unit(plan, loaded, settings, options)
    else:
        _deploy(plan, where, settings, options, wanted, replace=replace)


def _deploy(
    plan: Plan,
    where: str,
    settings: Settings,
    options: PlatformOptions,
    wanted: WantedImage,
    *,
    replace: bool,
) -> None:
    check_secrets(plan.secrets)
    platform = open_platform(where, settings, options)
    # Said before a build that may take long.
    check_name(platform, plan, replace=replace)
    make_image(wanted, options.tool or settings.container_tool)
    done = put_there(platform, plan, replace=replace, say=say)
    if not done.is_new:
        say(f"Nothing to do: exactly this runs as revision {done.deployment.current}.")
    if done.deployment.url:
        typer.echo(done.deployment.url)
    else:
        say(f"{plan.slug} is reached only from inside of the platform.")


def _environment(items: list[str], files: list[Path], secrets: tuple[Secret, ...]) -> dict[str, str]:
    environment = environment_of(items, files)
    for name, value in environment.items():
        if any(name == one.name for one in secrets):
            refuse(f"{name} is given by --env and by --secret. Choose one.")
        if looks_secret(name, value):
            warn(
                f"{name} looks like a secret, and a plan shows its variables. Write --secret {name} to keep it out of sight."
            )
    return environment


def _describe(plan: Plan, where: str, settings: Settings, options: PlatformOptions) -> None:
    missing = [one.name for one in plan.secrets if secret_value(one) is None]
    if missing:
        warn(f"No value here for {', '.join(missing)}: a deploy would be refused.")
    print_plan(plan)
    typer.echo()
    typer.echo(preview(plan, where, settings, options).rstrip("\n"))


def _print_unit(plan: Plan, loaded: LoadedChute, settings: Settings, options: PlatformOptions) -> NoReturn:
    from chutes.deploy.local import systemd_unit

    text = systemd_unit(
        changed(plan, source=str(loaded.place.file.resolve())),
        python=sys.executable,
        home=settings.home,
        host=options.host or _HOST,
        port=options.port or _PORT,
    )
    typer.echo(text, nl=False)
    service = f"chutes-{plan.username}-{plan.name}"
    say(
        "Neither podman nor docker is installed here, so nothing was started. This is a unit of systemd that runs the chute"
    )
    say(
        f"from its file: save it as /etc/systemd/system/{service}.service, then: systemctl enable --now {service}"
    )
    raise typer.Exit(_NOT_DEPLOYED)
