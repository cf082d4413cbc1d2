"""`chutes manifests`: a chute as YAML for Kubernetes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, cast, get_args

import typer

from chutes.cli.arguments import Reference
from chutes.cli.build_context import read_chute, target_of
from chutes.cli.debugging import Debug
from chutes.cli.deploy_variables import environment_of, secrets_of
from chutes.cli.reporting import refuse
from chutes.deploy import Plan, make_plan
from chutes.deploy.kubernetes import ManifestOptions, yaml_text
from chutes.deploy.kubernetes import manifests as objects_of
from chutes.deploy.kubernetes.options import FORMS, Metrics
from chutes.deploy.kubernetes.pod import secret_name
from chutes.deploy.ray.rayservice import ray_service_text
from chutes.suggestions import did_you_mean

__all__ = ["WRITERS", "Writer", "manifests"]

Writer = Callable[[Plan, ManifestOptions], str]
"""Writes a plan down as YAML."""


def _objects(plan: Plan, options: ManifestOptions) -> str:
    return yaml_text(objects_of(plan, options))


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {**dict.fromkeys(FORMS, _objects), "rayservice": ray_service_text}
)
"""The forms, and what writes each."""

_Image = Annotated[
    str, typer.Option(help="The image, as the nodes of the cluster pull it.", show_default=False)
]
_Form = Annotated[
    str,
    typer.Option(
        help=f"One of {', '.join(WRITERS)}; keda, knative and rayservice stop an idle chute and start it for a call."
    ),
]
_Namespace = Annotated[
    str | None,
    typer.Option(help="Written into every object.", show_default="left to kubectl and kustomize"),
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
        metavar="NAME", help="A variable whose value stands in a Secret of the cluster.", show_default=False
    ),
]
_Instances = Annotated[
    int | None,
    typer.Option(help="So many instances, whatever the load.", min=0, show_default="as the load asks for"),
]
_MinInstances = Annotated[
    int,
    typer.Option(
        help="At least so many; 0 lets an idle chute stop, in the forms that start it again.", min=0
    ),
]
_Host = Annotated[
    str | None,
    typer.Option(
        "--ingress-host", help="The name that the chute is called by from outside.", show_default="none"
    ),
]
_IngressClass = Annotated[
    str | None, typer.Option(help="The controller of the Ingress.", show_default="the cluster's default")
]
_TlsSecret = Annotated[
    str | None,
    typer.Option(help="The Secret with the certificate of that name.", show_default="none: plain HTTP"),
]
_PullSecret = Annotated[
    list[str] | None,
    typer.Option(help="A Secret with the log-in of the image's registry.", show_default=False),
]
_VolumeGb = Annotated[float, typer.Option(help="Size of the volume, where one is needed.")]
_StorageClass = Annotated[
    str | None, typer.Option(help="The storage class of the volume.", show_default="the cluster's default")
]
_SharedVolume = Annotated[
    bool,
    typer.Option("--shared-volume", help="Many nodes can mount it at once: models are kept there too."),
]
_MetricsOption = Annotated[
    str, typer.Option(help="How Prometheus finds the chute: annotations, podmonitor or none.")
]
_LoadMetric = Annotated[
    str | None,
    typer.Option(
        help="Scale by this metric of each pod, such as chutes_running, which an adapter serves.",
        show_default="by the processor",
    ),
]
_User = Annotated[int, typer.Option(help="The user id of the container.", min=1)]
_WritableRoot = Annotated[
    bool, typer.Option("--writable-root", help="Let the chute write outside of its volumes.")
]


def manifests(
    reference: Reference,
    *,
    image: _Image,
    form: _Form = "deployment",
    namespace: _Namespace = None,
    env: _Env = None,
    env_file: _EnvFile = None,
    secret: _Secret = None,
    instances: _Instances = None,
    min_instances: _MinInstances = 0,
    ingress_host: _Host = None,
    ingress_class: _IngressClass = None,
    tls_secret: _TlsSecret = None,
    pull_secret: _PullSecret = None,
    volume_gb: _VolumeGb = 20,
    storage_class: _StorageClass = None,
    shared_volume: _SharedVolume = False,
    metrics: _MetricsOption = "annotations",
    load_metric: _LoadMetric = None,
    user: _User = 10001,
    writable_root: _WritableRoot = False,
    debug: Debug = False,
) -> None:
    """Print a chute as YAML for Kubernetes.

    It goes to `kubectl apply -f -`, or into a folder of kustomize. Values of secrets are not in it.
    """
    if form not in WRITERS:
        refuse(f"Unknown form {form!r}.{did_you_mean(form, WRITERS)} It is one of {', '.join(WRITERS)}.")
    loaded = read_chute(reference)
    plan = make_plan(
        loaded.chute,
        image=image,
        target=target_of(loaded),
        environment=environment_of(env or [], env_file or []),
        secrets=secrets_of(secret or []),
        instances=instances,
        min_instances=min_instances,
    )
    options = ManifestOptions(
        # A form of another part reads no more than the rest.
        **({"form": form} if form in FORMS else {}),
        namespace=namespace,
        host=ingress_host,
        ingress_class=ingress_class,
        tls_secret=tls_secret,
        pull_secrets=tuple(pull_secret or ()),
        volume_gb=volume_gb,
        storage_class=storage_class,
        shared_volume=shared_volume,
        metrics=_checked(metrics),
        load_metric=load_metric,
        user=user,
        writable_root=writable_root,
    )
    text = WRITERS[form](plan, options)
    typer.echo(_heading(plan, namespace) + text, nl=False)


def _checked(metrics: str) -> Metrics:
    for known in get_args(Metrics):
        if metrics == known:
            return cast("Metrics", known)
    return refuse(f"Unknown --metrics {metrics!r}. Write one of {', '.join(get_args(Metrics))}.")


def _heading(plan: Plan, namespace: str | None) -> str:
    """What somebody who reads the YAML has to know."""
    lines = [f"# {plan.slug}, by `chutes manifests`."]
    if plan.secrets:
        where = f" --namespace {namespace}" if namespace else ""
        names = ", ".join(one.name for one in plan.secrets)
        lines += [
            f"# It reads a Secret that is not in here. With lines NAME=VALUE of {names} in a file of your own:",
            f"#   kubectl create secret generic {secret_name(plan)}{where} --from-env-file=FILE",
        ]
    return "\n".join(lines) + "\n"
