"""The OpenAPI description of a chute with cords of every form: it is valid, and what is served keeps to it."""

import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from support.require import require_program

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/wide.py") as chute:
        yield chute


@pytest.fixture(scope="module")
def document(chute):
    with chute.client() as client:
        return client.get("/openapi.json").json()


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_no_request_meets_a_failure_or_an_undocumented_answer(chute, tmp_path):
    program = require_program("schemathesis", str(Path(sys.executable).with_name("schemathesis")))
    command = [program, "run", f"{chute.url}/openapi.json", "--checks", ",".join(CHECKS), "--workers", "2"]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "40"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=450)

    assert done.returncode == 0, done.stdout
    with chute.client() as client:
        assert client.get("/health").status_code == 200
    assert not [line for line in chute.lines if line["level"] in {"error", "critical"}]


def test_the_description_is_valid(document):
    validate(document)


def test_each_cord_is_described_once_under_its_own_path_and_verb(document):
    described = {(path, verb) for path, verbs in document["paths"].items() for verb in verbs}

    assert ("/names", "post") in described
    assert ("/things/{number}", "put") in described
    assert ("/things/{number}/{name}", "get") in described
    assert len(described) == 29
    operations = [
        operation["operationId"] for path in document["paths"].values() for operation in path.values()
    ]
    assert len(set(operations)) == len(operations)


@pytest.mark.parametrize(
    ("path", "verb", "media_type"),
    [
        ("/names", "post", "application/json"),
        ("/events", "post", "text/event-stream"),
        ("/text-stream", "post", "text/plain"),
        ("/bytes-stream", "get", "audio/wav"),
        ("/image", "post", "image/png"),
        ("/page", "get", "text/html"),
        ("/either", "post", "application/json"),
        ("/either", "post", "text/event-stream"),
    ],
)
def test_the_media_type_of_each_answer_is_described(document, path, verb, media_type):
    assert media_type in document["paths"][path][verb]["responses"]["200"]["content"]


@pytest.mark.parametrize(
    ("path", "verb", "media_type"),
    [
        ("/form", "post", {"application/x-www-form-urlencoded"}),
        ("/upload", "post", {"multipart/form-data"}),
        ("/model", "post", {"application/json"}),
        ("/typed-dict", "patch", {"application/json"}),
    ],
)
def test_the_media_type_of_each_body_is_described(document, path, verb, media_type):
    assert set(document["paths"][path][verb]["requestBody"]["content"]) == media_type


def test_cords_without_a_body_describe_none(document):
    for path, verb in [
        ("/query", "get"),
        ("/query-model", "get"),
        ("/query-limits", "delete"),
        ("/page", "get"),
    ]:
        assert "requestBody" not in document["paths"][path][verb]
    names = {one["name"] for one in document["paths"]["/query-model"]["get"]["parameters"]}
    assert names == {"width", "height"}


def test_what_fastapi_is_told_of_a_cord_is_described(document):
    made = document["paths"]["/made"]["post"]
    assert (made["summary"], made["tags"]) == ("Make one", ["things"])
    assert "201" in made["responses"]
    assert "418" in document["paths"]["/teapot"]["post"]["responses"]
