"""Every plan is written down as Kubernetes has it, in several versions."""

import json
import subprocess
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from chutes.chute.gpus import GPUS
from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.kubernetes import ManifestOptions, manifests
from chutes.errors import DeployError
from support.kubernetes_tools import kubernetes_tool

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "support" / "kubernetes_schemas.py"
VERSIONS = ("1.27", "1.31", "1.34", "1.37")
# Theirs are the schemas of others.
CUSTOM = {"InterceptorRoute", "ScaledObject", "PodMonitor"}
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
NVIDIA = [gpu.name for gpu in GPUS if gpu.vendor == "nvidia"]
RESOURCES = st.builds(
    Resources,
    gpu_count=st.integers(1, 8),
    gpus=st.lists(st.sampled_from(NVIDIA), min_size=1, unique=True).map(tuple),
    min_vram_gb=st.floats(0, 8),
    cpu=st.none() | st.floats(0.001, 256),
    memory_gb=st.none() | st.floats(0.001, 4000),
) | st.builds(Resources, cpu=st.none() | st.floats(0.001, 256))
PLANS = st.builds(
    Plan,
    username=LABELS,
    name=LABELS,
    image=st.just("registry.example.com/team/image@sha256:0a"),
    target=st.just("app.py:chute"),
    version=st.text(max_size=20),
    concurrency=st.integers(1, 5000),
    max_queue=st.integers(0, 5000),
    instances=st.none() | st.integers(0, 9),
    min_instances=st.integers(0, 2),
    max_instances=st.integers(2, 9),
    scaling_threshold=st.floats(0.001, 1),
    shutdown_after_seconds=st.integers(0, 100_000),
    drain_delay=st.floats(0, 100),
    shutdown_grace=st.floats(0, 1000),
    resources=RESOURCES,
    environment=st.dictionaries(
        st.from_regex(r"[A-Z_]{1,9}", fullmatch=True), st.text(max_size=9), max_size=2
    ),
    secrets=st.sampled_from([(), (Secret(name="TOKEN"), Secret(name="CHUTES_DATABASE_URL"))]),
    has_model=st.booleans(),
    egress=st.sampled_from([None, True, False]),
)
OPTIONS = st.builds(
    ManifestOptions,
    form=st.sampled_from(["deployment", "keda", "knative"]),
    namespace=st.none() | LABELS,
    host=st.none() | st.just("chute.example.com"),
    tls_secret=st.none() | st.just("certificate"),
    ingress_class=st.none() | st.just("nginx"),
    pull_secrets=st.sampled_from([(), ("log-in",)]),
    volume_gb=st.floats(0.001, 9000),
    shared_volume=st.booleans(),
    metrics=st.sampled_from(["annotations", "podmonitor", "none"]),
    load_metric=st.none() | st.just("chutes_running"),
)


def faults(objects):
    program = kubernetes_tool("python")
    done = subprocess.run(
        [program, str(SCRIPT), *VERSIONS], input=json.dumps(objects), capture_output=True, text=True
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def standard(objects):
    """What the schemas of Kubernetes itself describe; the pod of a Knative Service is such a thing as well."""
    for one in objects:
        if one["apiVersion"].startswith("serving.knative.dev"):
            spec = dict(one["spec"]["template"]["spec"])
            assert isinstance(spec.pop("containerConcurrency"), int)
            assert isinstance(spec.pop("timeoutSeconds"), int)
            for name in ("readinessProbe", "livenessProbe"):
                asked = spec["containers"][0][name]
                # Knative knows the port by itself.
                asked["httpGet"] = {"port": 8000} | asked["httpGet"]
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": one["metadata"], "spec": spec}
        elif one["kind"] not in CUSTOM:
            yield one


def test_every_plan_fits_the_schemas():
    objects = []

    @hypothesis.settings(
        max_examples=60, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(PLANS, OPTIONS, st.booleans())
    def gather(plan, options, jobs):
        try:
            made = manifests(plan if not jobs else Plan(**values_of(plan) | {"has_jobs": True}), options)
        except DeployError:
            # Jobs on several instances without a database.
            return
        objects.extend(standard(made))

    gather()

    assert len(objects) > 100
    assert {"Deployment", "Service", "Ingress", "NetworkPolicy", "PodDisruptionBudget"} <= {
        one["kind"] for one in objects
    }
    assert faults(objects) == ""


def test_a_field_that_kubernetes_has_not_is_found():
    (deployment,) = [
        one for one in manifests(Plan(username="me", name="a", image="b")) if one["kind"] == "Deployment"
    ]
    deployment["spec"]["replica"] = 2

    assert "replica" in faults([deployment])


def values_of(plan):
    return {name: getattr(plan, name) for name in Plan.__dataclass_fields__}
