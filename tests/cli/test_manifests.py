"""`chutes manifests`: a chute as YAML."""

import pytest
import yaml

APP = """
import torch_that_is_not_here
from chutes import Chute, NodeSelector

print("the file speaks while it is loaded")
chute = Chute(
    username="me",
    name="hello",
    image="python:3.11",
    max_instances=3,
    concurrency=4,
    node_selector=NodeSelector(include=["l4"], cpu=2, memory_gb=8),
)


@chute.job()
async def note(self) -> str:
    return "kept"
"""


@pytest.fixture
def app(cli):
    return cli.write("app.py", APP)


def documents(result):
    assert result.exit_code == 0, result.stderr
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(result.stdout)}


def test_the_output_is_yaml_and_nothing_else(cli, app):
    objects = documents(cli("manifests", "app.py", "--image", "r/hello:1", "--secret", "CHUTES_DATABASE_URL"))

    spec = objects["Deployment", "me-hello"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == "r/hello:1"
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "8000M", "nvidia.com/gpu": "1"}
    assert ("HorizontalPodAutoscaler", "me-hello") in objects


def test_the_heading_says_which_secret_is_missing(cli, app):
    result = cli(
        "manifests", "app.py", "--image", "r", "--secret", "CHUTES_DATABASE_URL", "--namespace", "team"
    )

    assert (
        "kubectl create secret generic me-hello-secrets --namespace team --from-env-file=FILE"
        in result.stdout
    )


def test_options_reach_the_objects(cli, app):
    words = ["--ingress-host", "hello.example.com", "--tls-secret", "tls", "--env", "A=b", "--instances", "1"]
    words += [
        "--volume-gb",
        "3",
        "--storage-class",
        "fast",
        "--pull-secret",
        "log-in",
        "--writable-root",
        "--user",
        "7",
    ]

    objects = documents(cli("manifests", "app.py", "--image", "r", *words))

    spec = objects["Deployment", "me-hello"]["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "log-in"}]
    assert spec["securityContext"]["runAsUser"] == 7
    assert {"name": "A", "value": "b"} in spec["containers"][0]["env"]
    assert objects["Ingress", "me-hello"]["spec"]["tls"] == [
        {"hosts": ["hello.example.com"], "secretName": "tls"}
    ]
    assert objects["PersistentVolumeClaim", "me-hello-home"]["spec"]["storageClassName"] == "fast"


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("keda", {"InterceptorRoute", "ScaledObject"}),
        ("knative", {"Service"}),
        ("rayservice", {"RayService"}),
    ],
)
def test_other_forms(cli, app, form, kinds):
    result = cli("manifests", "app.py", "--image", "r", "--form", form, "--secret", "CHUTES_DATABASE_URL")

    assert kinds <= {kind for kind, _ in documents(result)}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--form", "kedaa"], 2, "Did you mean 'keda'?"),
        (["--metrics", "x", "--secret", "CHUTES_DATABASE_URL"], 2, "annotations, podmonitor, none"),
        ([], 1, "--secret CHUTES_DATABASE_URL"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(cli, app, words, code, text):
    result = cli("manifests", "app.py", "--image", "r", *words)

    assert (result.exit_code, result.stdout) == (code, "")
    assert text in result.stderr
    assert "Traceback" not in result.stderr
