"""What manifests say beyond the plan: how the cluster is made."""

from dataclasses import dataclass
from typing import Literal

from chutes.errors import DeployError

__all__ = ["FORMS", "Form", "ManifestOptions"]

Form = Literal["deployment", "keda", "knative"]
FORMS: tuple[Form, ...] = ("deployment", "keda", "knative")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestOptions:
    """How a plan is written down for a cluster.

    Attributes:
        form: a Deployment; one that KEDA's HTTP add-on scales to zero; or a Knative Service.
        namespace: written into every object; None leaves it to `kubectl` and kustomize.
        host: the host name of an Ingress, and that KEDA's interceptor answers to; None: no Ingress.
        ingress_class: which controller the Ingress is for; None: the cluster's default.
        pull_secrets: names of Secrets with the log-in of the image's registry.
        volume_gb: size of the volume of `CHUTES_HOME`, in GB of 10^9 bytes.
        storage_class: of that volume; None: the cluster's default.
        shared_volume: the storage class can be mounted by many nodes at once (ReadWriteMany).
        metrics: how Prometheus finds the chute: by annotations of the pod, by a ServiceMonitor, or not at all.
        load_metric: name of a metric per pod that an adapter serves, which counts calls under way; None scales by processor.
    """

    form: Form = "deployment"
    namespace: str | None = None
    host: str | None = None
    ingress_class: str | None = None
    pull_secrets: tuple[str, ...] = ()
    volume_gb: float = 20
    storage_class: str | None = None
    shared_volume: bool = False
    metrics: Literal["annotations", "servicemonitor", "none"] = "annotations"
    load_metric: str | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise DeployError(f"Unknown form {self.form!r}. It is one of {', '.join(FORMS)}.")
        if self.volume_gb <= 0:
            raise DeployError(f"Invalid size of the volume {self.volume_gb:g}. It takes GB, for example 20.")
