"""What is to run, said once for every platform."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Self

from chutes.chute import Chute
from chutes.chute.chute import definition_of
from chutes.chute.node_selector import NodeSelector
from chutes.errors import DeployError

__all__ = ["PORT", "Plan", "Resources", "Secret", "make_plan"]

PORT = 8000
"""The port that the chute listens on inside its container."""

# Platforms route to an instance for a while after it was told to stop.
_DRAIN_DELAY = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What each instance needs of its machine.

    Attributes:
        gpu_count: GPUs; 0 for none.
        gpus: names from the catalogue, of which any will do; empty without GPUs.
        min_vram_gb: memory of each GPU, in GB of 10^9 bytes.
        cpu: cores; None for as many as there are.
        memory_gb: main memory, in GB; None for as much as there is.
    """

    gpu_count: int = 0
    gpus: tuple[str, ...] = ()
    min_vram_gb: float = 0
    cpu: float | None = None
    memory_gb: float | None = None

    @classmethod
    def of(cls, selector: NodeSelector | None) -> Self:
        """What a node selector asks for."""
        if selector is None:
            return cls()
        asks = selector.gpu_count > 0
        return cls(
            gpu_count=selector.gpu_count,
            gpus=tuple(gpu.name for gpu in selector.gpus()),
            min_vram_gb=selector.min_vram_gb_per_gpu if asks else 0,
            cpu=selector.cpu,
            memory_gb=selector.memory_gb,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A secret by its name; its value is never part of a plan.

    Attributes:
        name: the environment variable under which the chute reads it.
        file: the file that holds the value on the machine that deploys; None: that machine's variable of the name.
    """

    name: str
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to run. A plan can be printed and kept: it holds no secret.

    Attributes:
        username: owner of the chute.
        name: name of the chute.
        image: the reference of the container image, one that never moves.
        digest: names the content of the image: 64 hexadecimal digits, or empty for an image of unknown content.
        source: the file that the chute is written in; another one may not take its name.
        target: the chute as `chutes run` takes it inside the image, such as `app.py:chute`.
        version: the chute's own `revision`, empty without one.
        concurrency: calls at once in each instance.
        max_queue: calls that wait in each instance.
        instances: how many run whatever the load; None: as many as the load asks for, within the two bounds.
        min_instances: at least; 0: an idle chute may be stopped, on a platform that starts it again for a call.
        max_instances: at most.
        scaling_threshold: share of `concurrency` in use above which there is one more.
        shutdown_after_seconds: idle seconds after which the last one may stop.
        drain_delay: seconds in which an instance that was told to stop takes new calls.
        shutdown_grace: seconds that calls in flight get after that.
        resources: what each instance needs of its machine.
        environment: variables, none of them secret.
        secrets: variables whose values the platform keeps.
        has_jobs: the chute has jobs.
        has_schedules: some of them start by the clock.
        has_model: the chute serves a model, and wants a place that keeps its weights.
        egress: whether the chute may call other hosts; None: nobody has said.
    """

    username: str
    name: str
    image: str
    digest: str = ""
    source: str = ""
    target: str = ""
    version: str = ""
    concurrency: int = 1
    max_queue: int = 64
    instances: int | None = None
    min_instances: int = 1
    max_instances: int = 1
    scaling_threshold: float = 0.75
    shutdown_after_seconds: float = 300
    drain_delay: float = _DRAIN_DELAY
    shutdown_grace: float = 30
    resources: Resources = field(default_factory=Resources)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    has_jobs: bool = False
    has_schedules: bool = False
    has_model: bool = False
    egress: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", MappingProxyType(dict(self.environment)))
        if not 0 <= self.min_instances <= self.max_instances:
            raise DeployError(
                f"Invalid numbers of instances: at least {self.min_instances}, at most {self.max_instances}."
            )
        if self.instances is not None and self.instances < 0:
            raise DeployError(f"Invalid number of instances {self.instances}. Write 0 or more.")
        if self.has_jobs and self.most > 1 and "CHUTES_DATABASE_URL" not in self.variables:
            raise DeployError(
                f"The chute '{self.slug}' has jobs, and up to {self.most} instances that need one database for them. "
                "Give it one, for example --secret CHUTES_DATABASE_URL, or keep max_instances=1."
            )

    @property
    def slug(self) -> str:
        """`username/name`, unique on a platform."""
        return f"{self.username}/{self.name}"

    @property
    def most(self) -> int:
        """Instances at once, at most."""
        return self.max_instances if self.instances is None else self.instances

    @property
    def termination_seconds(self) -> float:
        """What an instance gets between the signal to stop and its end."""
        return self.drain_delay + self.shutdown_grace + 5

    @property
    def variables(self) -> frozenset[str]:
        """The names of all variables that it is given, secret or not."""
        return frozenset(self.environment) | {secret.name for secret in self.secrets}

    def scaled(self, instances: int | None) -> "Plan":
        """The same with a fixed number of instances; None: with as many as the load asks for.

        Raises:
            DeployError: jobs without a database forbid that many.
        """
        return replace(self, instances=instances)

    def to_json(self) -> str:
        """One line that `from_json` reads."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["environment"] = dict(self.environment)
        return json.dumps(values, sort_keys=True, default=asdict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; fields that this version does not know are passed over.

        Raises:
            DeployError: it is no plan.
        """
        try:
            values: dict[str, Any] = {
                name: value for name, value in json.loads(text).items() if name in cls.__slots__
            }
            resources = values.pop("resources", {})
            values["resources"] = Resources(**resources | {"gpus": tuple(resources.get("gpus", ()))})
            values["secrets"] = tuple(Secret(**secret) for secret in values.get("secrets", ()))
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as exc:
            raise DeployError(f"This is not a plan of a deployment: {text[:80]!r}.") from exc


def make_plan(
    chute: Chute,
    *,
    image: str,
    digest: str = "",
    source: str = "",
    target: str = "",
    environment: Mapping[str, str] = MappingProxyType({}),
    secrets: tuple[Secret, ...] = (),
    instances: int | None = None,
    min_instances: int = 0,
) -> Plan:
    """What running this chute from an image means.

    Raises:
        DeployError: jobs on several instances, and no database that they share.
    """
    config, definition = chute.config, definition_of(chute)
    schedules = any(job.schedule is not None for job in definition.jobs.values())
    return Plan(
        username=config.username,
        name=config.name,
        image=image,
        digest=digest,
        source=source,
        target=target,
        version=config.revision or "",
        concurrency=config.concurrency,
        max_queue=config.max_queue,
        instances=instances,
        min_instances=min_instances,
        max_instances=config.max_instances,
        scaling_threshold=config.scaling_threshold,
        shutdown_after_seconds=config.shutdown_after_seconds,
        drain_delay=config.drain_delay or _DRAIN_DELAY,
        shutdown_grace=config.shutdown_grace,
        resources=Resources.of(config.node_selector),
        environment=environment,
        secrets=secrets,
        has_jobs=bool(definition.jobs),
        has_schedules=schedules,
        has_model=definition.engine is not None,
        egress=config.allow_external_egress,
    )
