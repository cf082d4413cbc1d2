"""Requests made up from each example's own OpenAPI document meet no failure and no answer that it does not name."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from support.require import require_program

ROOT = Path(__file__).parent.parent.parent
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES = [
    "semantic_search/app.py",
    "state_and_statistics.py",
    "batching_by_hand.py",
    "api_keys_and_rate_limit.py",
]


@contextmanager
def served(example: str, log: Path) -> Iterator[str]:
    """Runs `chutes run` on the example, and yields its address."""
    command = [sys.executable, "-m", "chutes", "run", f"examples/{example}", "--port", "0"]
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield address_of(server, log)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def address_of(server: subprocess.Popen, log: Path) -> str:
    """The address that the server writes into its log once it is ready."""
    for _ in range(300):
        if found := re.search(r"is ready on (http://[\d.:]+)", log.read_text()):
            return found[1]
        assert server.poll() is None, log.read_text()
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.1)
    raise AssertionError(f"Not ready after 30 s:\n{log.read_text()}")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", EXAMPLES)
def test_no_request_meets_a_failure_or_an_undocumented_answer(example, model_packages, tmp_path):
    program = require_program("schemathesis", str(Path(sys.executable).with_name("schemathesis")))
    with served(example, tmp_path / "server.log") as address:
        command = [program, "run", f"{address}/openapi.json", "--checks", ",".join(CHECKS)]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--workers", "2"]
        command += ["--header", "X-API-Key: busy-bee"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout
        with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
            assert answer.status == 200
    assert "Traceback" not in (tmp_path / "server.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_description_is_valid(example, model_packages, tmp_path):
    with (
        served(example, tmp_path / "server.log") as address,
        urllib.request.urlopen(f"{address}/openapi.json", timeout=10) as answer,
    ):
        document = json.load(answer)
    validate(document)
    assert all("422" in one["responses"] for one in operations_with_input(document))


def operations_with_input(document):
    operations = [one for path in document["paths"].values() for one in path.values()]
    return [one for one in operations if "requestBody" in one]
