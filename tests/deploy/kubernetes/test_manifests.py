"""What a plan becomes on Kubernetes."""

import dataclasses
import re

import pytest
import yaml

from chutes.deploy import Plan, Resources, Secret
from chutes.deploy.kubernetes import ManifestOptions, manifests, yaml_text
from chutes.deploy.kubernetes.names import object_name
from chutes.errors import DeployError

PLAN = Plan(username="me", name="echo", image="registry.example.com/me/echo@sha256:0a", target="app.py:chute")
DATABASE = (Secret(name="CHUTES_DATABASE_URL"),)


def plan(**changes):
    return dataclasses.replace(PLAN, **changes)


def made(wanted=PLAN, **options):
    """The objects by their kind; a second Deployment is the worker."""
    objects = {}
    for one in manifests(wanted, ManifestOptions(**options)):
        is_worker = one["metadata"]["name"].endswith("-worker")
        kind = "Worker" if is_worker else one["kind"]
        objects[kind if kind not in objects else f"{kind} 2"] = one
    return objects


def pod(wanted=PLAN, **options):
    return made(wanted, **options)["Deployment"]["spec"]["template"]["spec"]


def container(wanted=PLAN, **options):
    return pod(wanted, **options)["containers"][0]


def variables(wanted=PLAN, **options):
    return {one["name"]: one.get("value") for one in container(wanted, **options)["env"]}


def test_a_chute_of_one_instance_is_a_deployment_and_a_service():
    objects = made()

    assert list(objects) == ["Deployment", "Service"]
    assert objects["Deployment"]["spec"]["replicas"] == 1
    assert objects["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["Service"]["spec"]["selector"].items() <= labels.items()
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] in {
        one["name"] for one in container()["ports"]
    }


def test_probes_ask_the_port_that_answers_while_code_blocks_the_other():
    asked = container()
    ports = {one["name"]: one["containerPort"] for one in asked["ports"]}

    for probe, path in (
        ("startupProbe", "/readyz"),
        ("readinessProbe", "/readyz"),
        ("livenessProbe", "/livez"),
    ):
        assert asked[probe]["httpGet"] == {"path": path, "port": "probes"}
    assert variables()["CHUTES_PROBE_PORT"] == str(ports["probes"])
    assert variables()["CHUTES_HOST"] == "0.0.0.0"


def test_a_pod_gets_the_time_to_drain_and_the_process_knows_of_it():
    wanted = plan(drain_delay=7.5, shutdown_grace=60)

    assert pod(wanted)["terminationGracePeriodSeconds"] >= 7.5 + 60 + 5
    assert variables(wanted)["CHUTES_DRAIN_DELAY"] == "7.5"


def test_the_number_of_instances_follows_the_load_between_its_bounds():
    objects = made(plan(max_instances=5, min_instances=2, scaling_threshold=0.6, shutdown_after_seconds=90))

    spec = objects["HorizontalPodAutoscaler"]["spec"]
    assert "replicas" not in objects["Deployment"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 90
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_the_number_of_instances_follows_calls_where_the_cluster_counts_them():
    wanted = plan(max_instances=5, concurrency=3, scaling_threshold=0.75)

    metric = made(wanted, load_metric="chutes_running")["HorizontalPodAutoscaler"]["spec"]["metrics"][0]

    assert metric["pods"]["metric"]["name"] == "chutes_running"
    assert metric["pods"]["target"]["averageValue"] == "2250m"


def test_a_fixed_number_of_instances_has_no_autoscaler():
    objects = made(plan(max_instances=5, instances=3))

    assert objects["Deployment"]["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in objects


def test_a_plain_deployment_never_stops_for_want_of_calls():
    assert made(plan(min_instances=0))["Deployment"]["spec"]["replicas"] == 1
    assert made(plan(min_instances=0, instances=0))["Deployment"]["spec"]["replicas"] == 0


def test_a_secret_is_referred_to_and_a_variable_is_not_expanded():
    wanted = plan(environment={"GREETING": "$(CHUTES_HOME) and $HOME"}, secrets=(Secret(name="TOKEN"),))

    env = {one["name"]: one for one in container(wanted)["env"]}

    assert env["TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "me-echo-secrets", "key": "TOKEN"}
    assert env["GREETING"]["value"] == "$$(CHUTES_HOME) and $HOME"


def test_what_the_cluster_needs_of_the_environment_wins_over_the_users():
    assert variables(plan(environment={"CHUTES_PORT": "9", "HF_HOME": "/mine"}))["CHUTES_PORT"] == "8000"
    assert variables(plan(environment={"HF_HOME": "/mine"}))["HF_HOME"] == "/mine"


def test_the_container_may_do_little_and_writes_only_where_volumes_are():
    spec, security = pod(), container()["securityContext"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["automountServiceAccountToken"] is False
    assert security == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    mounted = {one["name"]: one["mountPath"] for one in container()["volumeMounts"]}
    assert set(mounted.values()) >= {"/tmp", "/var/lib/chutes", "/home/chute"}
    assert set(mounted) == {one["name"] for one in spec["volumes"]}
    assert container(writable_root=True)["securityContext"]["readOnlyRootFilesystem"] is False


def test_variables_of_services_beside_it_are_not_given_to_a_chute():
    assert pod()["enableServiceLinks"] is False


def test_runs_of_jobs_without_a_database_keep_a_volume_that_one_pod_at_a_time_has():
    objects = made(plan(has_jobs=True), volume_gb=5, storage_class="fast")

    claim = objects["PersistentVolumeClaim"]["spec"]
    assert claim["accessModes"] == ["ReadWriteOnce"]
    assert (claim["resources"]["requests"]["storage"], claim["storageClassName"]) == ("5000M", "fast")
    assert objects["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    home = objects["Deployment"]["spec"]["template"]["spec"]["volumes"][0]
    assert home["persistentVolumeClaim"]["claimName"] == objects["PersistentVolumeClaim"]["metadata"]["name"]


def test_with_a_database_no_pod_waits_for_another():
    objects = made(plan(has_jobs=True, secrets=DATABASE, max_instances=3))

    assert "PersistentVolumeClaim" not in objects
    assert objects["Deployment"]["spec"]["strategy"]["type"] == "RollingUpdate"


def test_models_are_kept_where_many_nodes_can_mount_them():
    assert "PersistentVolumeClaim" not in made(plan(has_model=True))
    claim = made(plan(has_model=True), shared_volume=True)["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_chute_without_egress_may_ask_for_names_and_call_its_neighbours():
    assert "NetworkPolicy" not in made(plan(egress=None))
    assert "NetworkPolicy" not in made(plan(egress=True))

    spec = made(plan(egress=False))["NetworkPolicy"]["spec"]

    assert spec["policyTypes"] == ["Egress"]
    assert {one["port"] for rule in spec["egress"] for one in rule.get("ports", ())} == {53}
    assert spec["egress"][-1] == {"to": [{"podSelector": {}}]}


def test_keda_scales_to_none_by_calls_and_the_ingress_leads_to_its_proxy():
    wanted = plan(min_instances=0, max_instances=4, concurrency=8, shutdown_after_seconds=120)

    objects = made(wanted, form="keda", host="echo.example.com")

    spec = objects["ScaledObject"]["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 4, 120)
    route = objects["InterceptorRoute"]
    assert spec["triggers"][0]["metadata"]["interceptorRoute"] == route["metadata"]["name"]
    assert route["spec"]["rules"] == [{"hosts": ["echo.example.com"]}]
    assert route["spec"]["scalingMetric"]["concurrency"]["targetValue"] == 6
    backend = objects["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == objects["Service 2"]["metadata"]["name"]
    assert "HorizontalPodAutoscaler" not in objects


def test_a_knative_service_takes_the_place_of_deployment_service_and_autoscaler():
    wanted = plan(min_instances=0, max_instances=4, concurrency=8, max_queue=10)

    objects = made(wanted, form="knative")

    assert list(objects) == ["Service"]
    template = objects["Service"]["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "0"
    assert annotations["autoscaling.knative.dev/target"] == "8"
    assert template["spec"]["containerConcurrency"] == 18
    # Knative refuses a template with either.
    assert "terminationGracePeriodSeconds" not in template["spec"]
    assert len(template["spec"]["containers"][0]["ports"]) == 1


@pytest.mark.parametrize("form", ["keda", "knative"])
def test_jobs_have_a_worker_that_stays_where_the_rest_may_stop(form):
    wanted = plan(has_jobs=True, has_schedules=True, min_instances=0, secrets=DATABASE)

    worker = made(wanted, form=form)["Worker"]

    assert worker["spec"]["replicas"] == 1
    asked = worker["spec"]["template"]["spec"]["containers"][0]
    assert asked["command"][-1] == "app.py:chute"
    assert "chutes worker" in asked["command"][2]
    assert asked["livenessProbe"]["httpGet"]["port"] == "probes"
    # The Service sends it no calls.
    assert worker["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"


@pytest.mark.parametrize("form", ["keda", "knative"])
def test_jobs_that_come_and_go_need_a_database(form):
    with pytest.raises(DeployError, match="--secret CHUTES_DATABASE_URL"):
        manifests(plan(has_jobs=True), ManifestOptions(form=form))


def test_pods_are_made_anew_when_secrets_change_and_not_when_the_number_does():
    def template(wanted, **more):
        return manifests(wanted, **more)[0]["spec"]["template"]

    assert template(plan(max_instances=3)) == template(plan(max_instances=3, min_instances=2))
    assert template(PLAN) != template(PLAN, secrets_revision=2)
    assert template(PLAN) != template(plan(image="another"))


def test_a_pod_monitor_reads_the_port_without_keys():
    assert container()["ports"][1]["name"] == "probes"
    annotations = made()["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "8001"

    objects = made(metrics="podmonitor")

    assert objects["PodMonitor"]["spec"]["podMetricsEndpoints"] == [{"port": "probes", "path": "/metrics"}]
    assert "prometheus.io/port" not in objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]


def test_several_gpus_of_one_pod_share_memory():
    wanted = plan(resources=Resources(gpu_count=2, gpus=("h100",), min_vram_gb=80))

    assert {"name": "shm", "emptyDir": {"medium": "Memory"}} in pod(wanted)["volumes"]


def test_the_namespace_is_in_every_object_or_in_none():
    wanted = plan(max_instances=3, egress=False)

    assert {one["metadata"]["namespace"] for one in manifests(wanted, ManifestOptions(namespace="team"))} == {
        "team"
    }
    assert all("namespace" not in one["metadata"] for one in manifests(wanted))


def test_the_yaml_says_what_the_objects_say_and_has_no_anchors():
    objects = manifests(plan(max_instances=3, egress=False, environment={"ON": "yes", "N": "010", "Ü": "é"}))

    text = yaml_text(objects)

    assert list(yaml.safe_load_all(text)) == objects
    assert not re.search(r"[&*]id\d", text)
    assert (
        yaml_text(
            manifests(plan(max_instances=3, egress=False, environment={"ON": "yes", "N": "010", "Ü": "é"}))
        )
        == text
    )


def test_every_chute_has_a_name_of_its_own_that_a_service_can_have():
    slugs = [
        ("a-b", "c"),
        ("a", "b-c"),
        ("3com", "x"),
        ("u" * 63, "n" * 63),
        ("u" * 63, "n" * 62),
        ("me", "echo"),
        ("chute-3com", "x"),
    ]

    names = [object_name(*slug) for slug in slugs]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,43}[a-z0-9])?", name) for name in names)
    assert object_name("me", "echo") == "me-echo"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"form": "knativ"}, "Did you mean 'knative'"),
        ({"volume_gb": 0}, "It takes GB"),
        ({"user": 0}, "other than root"),
        ({"metrics": "x"}, "annotations, podmonitor, none"),
    ],
)
def test_options_that_cannot_be_are_refused(options, text):
    with pytest.raises(DeployError, match=text):
        ManifestOptions(**options)


def test_options_are_kept_as_they_were():
    options = ManifestOptions(form="keda", host="a.example.com", pull_secrets=("one",), volume_gb=2.5)

    assert ManifestOptions.from_json(options.to_json()) == options
    with pytest.raises(DeployError, match="no options of manifests"):
        ManifestOptions.from_json("[]")
