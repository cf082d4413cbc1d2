"""`chutes deploy` and its like by the command line, with podman: what a user types, and what comes of it."""

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest
from tests.support.require import require, require_program

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

BASE = "localhost/chutes-test-python:3.11"
CONFIGURATION = Path(
    os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "chutes-ci/containers/containers.conf"
)
APP = f"""
import hashlib, os
from chutes import Chute

chute = Chute(username="test", name="NAME", image="{BASE}")


@chute.cord("/told", method="GET")
def told(self) -> str:
    return hashlib.sha256(os.environ["MY_TOKEN"].encode()).hexdigest()
"""
VALUE = "hush-hush-hush"


class Shell:
    """Types commands in a folder, and remembers all that they print."""

    def __init__(self, folder):
        self.folder = folder
        self.name = f"cmd-{uuid.uuid4().hex[:8]}"
        self.printed = ""
        self.environ = os.environ | {
            "CHUTES_HOME": str(folder / "home"),
            "CONTAINERS_CONF": str(CONFIGURATION),
            "MY_TOKEN": VALUE,
        }

    def write(self, name, text=APP):
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.replace("NAME", self.name))

    def chutes(self, *words):
        done = subprocess.run(
            [sys.executable, "-m", "chutes", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        self.printed += done.stdout + done.stderr
        return done

    def podman(self, *words):
        return subprocess.run(
            ["podman", *words], env=self.environ, capture_output=True, text=True, timeout=60
        ).stdout


@pytest.fixture
def shell(tmp_path):
    require_program("podman")
    require(CONFIGURATION.is_file(), f"No {CONFIGURATION}; .ci/containers.sh writes it.")
    shell = Shell(tmp_path)
    require(shell.podman("image", "ls", "--quiet", BASE), f"No image {BASE}; .ci/containers.sh makes it.")
    yield shell
    shell.chutes("delete", shell.name, "--yes", "--data")
    names = shell.podman(
        "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference=test/{shell.name}"
    )
    if names.split():
        shell.podman("image", "rm", "--force", *names.split())


def test_a_chute_is_deployed_changed_broken_and_deleted(shell):
    shell.write("app.py")
    first = shell.chutes("deploy", "app.py", "--secret", "MY_TOKEN")
    assert first.returncode == 0, first.stderr
    url = first.stdout.strip()
    with urllib.request.urlopen(f"{url}/told", timeout=60) as answer:
        told = json.load(answer)
    assert told == hashlib.sha256(VALUE.encode()).hexdigest()

    shell.write("other/app.py")
    other = shell.chutes("deploy", "other/app.py", "--secret", "MY_TOKEN")
    assert other.returncode == 1
    assert "--replace" in other.stderr

    shell.write("app.py", APP + "\nimport library_that_no_image_has\n")
    refused = shell.chutes("deploy", "app.py", "--secret", "MY_TOKEN")
    assert refused.returncode == 1
    assert "library_that_no_image_has" in refused.stderr.splitlines()[-1]

    status = json.loads(shell.chutes("status", shell.name, "--json").stdout)
    assert (status["current"], status["ready"], status["url"]) == (1, 1, url)

    assert shell.name in shell.chutes("logs", shell.name).stdout
    assert VALUE not in shell.printed
    assert VALUE not in shell.podman("image", "inspect", status["plan"]["image"])

    assert shell.chutes("delete", shell.name, "--yes", "--data").returncode == 0
    assert json.loads(shell.chutes("list", "--json").stdout) == []
