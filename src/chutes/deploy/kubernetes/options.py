"""What manifests say beyond the plan: how the cluster is made."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

from chutes.errors import DeployError
from chutes.suggestions import did_you_mean

__all__ = ["FORMS", "Form", "ManifestOptions", "Metrics"]

Form = Literal["deployment", "keda", "knative"]
FORMS: tuple[Form, ...] = get_args(Form)
Metrics = Literal["annotations", "podmonitor", "none"]

_NOBODY = 10001


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestOptions:
    """How a plan is written down for a cluster.

    Attributes:
        form: a Deployment; one that KEDA's HTTP add-on scales to zero; or a Knative Service.
        namespace: written into every object; None leaves it to `kubectl` and kustomize.
        host: the host name that the chute is called by from outside; None: it is reached from inside the cluster alone.
        ingress_class: which controller the Ingress is for; None: the cluster's default.
        tls_secret: the Secret with the certificate of the host; None: the Ingress speaks plain HTTP.
        pull_secrets: names of Secrets with the log-in of the image's registry.
        volume_gb: size of the volume for what the chute keeps, in GB of 10^9 bytes.
        storage_class: of that volume; None: the cluster's default.
        shared_volume: its storage can be mounted by many nodes at once (ReadWriteMany).
        metrics: how Prometheus finds the chute: by annotations of the pod, by a PodMonitor, or not at all.
        load_metric: a metric of each pod that an adapter serves, which counts the calls under way, such as `chutes_running`;
            None: the number of instances follows the processor.
        user: the id under which the container runs; 10001 is what `chutes build` makes.
        writable_root: the container may write anywhere, not only where volumes are.
    """

    form: Form = "deployment"
    namespace: str | None = None
    host: str | None = None
    ingress_class: str | None = None
    tls_secret: str | None = None
    pull_secrets: tuple[str, ...] = ()
    volume_gb: float = 20
    storage_class: str | None = None
    shared_volume: bool = False
    metrics: Metrics = "annotations"
    load_metric: str | None = None
    user: int = _NOBODY
    writable_root: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (("form", self.form, FORMS), ("metrics", self.metrics, get_args(Metrics))):
            if value not in known:
                raise DeployError(
                    f"Unknown {name} {value!r}.{did_you_mean(value, known)} It is one of {', '.join(known)}."
                )
        if self.volume_gb <= 0:
            raise DeployError(f"Invalid volume_gb={self.volume_gb:g}. It takes GB, for example 20.")
        if self.user <= 0:
            raise DeployError(
                f"Invalid user={self.user}. It takes the number of a user other than root, for example 10001."
            )

    def changed(self, values: Mapping[str, Any]) -> Self:
        """The same with other values of some fields.

        Raises:
            DeployError: a value cannot be.
        """
        return replace(self, **values)

    def to_json(self) -> str:
        """One line that `from_json` reads."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; fields that this version does not know are passed over.

        Raises:
            DeployError: it is no such text.
        """
        try:
            values = {name: value for name, value in json.loads(text).items() if name in cls.__slots__}
            values["pull_secrets"] = tuple(values.get("pull_secrets", ()))
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as exc:
            raise DeployError(f"These are no options of manifests: {text[:80]!r}.") from exc
