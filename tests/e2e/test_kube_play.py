"""The Deployment that `chutes manifests` prints, run by podman."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from tests.support.require import require, require_program

pytestmark = [pytest.mark.container, pytest.mark.timeout(400)]

BASE = "localhost/chutes-test-python:3.11"
CONFIGURATION = Path(
    os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "chutes-ci/containers/containers.conf"
)
APP = f"""
import getpass
import os
from pathlib import Path

from chutes import Chute

chute = Chute(username="test", name="NAME", image="{BASE}", shutdown_grace=5)


@chute.cord("/about", method="GET")
async def about(self) -> dict:
    try:
        Path("/opt/written").write_text("")
        writable = True
    except OSError:
        writable = False
    Path("/tmp/written").write_text("")
    (Path(os.environ["CHUTES_HOME"]) / "written").write_text("")
    capabilities = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    return {{"user": os.getuid(), "writable": writable, "capabilities": int(capabilities, 16), "greeting": os.environ["GREETING"]}}
"""


@pytest.fixture
def podman():
    """Run podman; returns what it prints."""
    program = require_program("podman")
    environ = os.environ | ({"CONTAINERS_CONF": str(CONFIGURATION)} if CONFIGURATION.exists() else {})

    def run(*words, check=True):
        done = subprocess.run([program, *words], env=environ, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    run.environ = environ
    found = subprocess.run([program, "image", "exists", BASE], env=environ, check=False).returncode == 0
    require(found, f"There is no image {BASE}; `bash .ci/containers.sh` makes it.")
    return run


def chutes(folder, environ, *words):
    done = subprocess.run(
        [sys.executable, "-m", "chutes", *words],
        cwd=folder,
        env=environ | {"CHUTES_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except OSError as exc:
            if time.monotonic() > deadline:
                raise AssertionError(f"{url}: {exc}") from exc
            time.sleep(0.1)


def for_this_machine(text, ports, folder):
    """The Deployment with ports that are free here: this machine's podman has pods share its network."""
    (deployment,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    spec["hostNetwork"] = True
    del container["ports"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        # It would have systemd ask, which a container has not got.
        del container[probe]
    for variable in container["env"]:
        variable["value"] = {"CHUTES_HOST": "127.0.0.1", **ports}.get(variable["name"], variable["value"])
    for volume in spec["volumes"]:
        # This podman is older than its support of emptyDir.
        place = folder / volume["name"]
        place.mkdir()
        place.chmod(0o777)
        del volume["emptyDir"]
        volume["hostPath"] = {"path": str(place), "type": "Directory"}
    return yaml.safe_dump(deployment)


def test_a_deployment_runs_as_it_is_written(podman, tmp_path):
    name = f"play-{os.getpid()}-{time.time_ns() % 10**9}"
    (tmp_path / "app.py").write_text(APP.replace("NAME", name))
    image = chutes(
        tmp_path, podman.environ, "build", "app.py", "--tool", "podman", "--", "--network", "host"
    ).strip()
    ports = {"CHUTES_PORT": str(free_port()), "CHUTES_PROBE_PORT": str(free_port())}
    text = chutes(
        tmp_path,
        podman.environ,
        "manifests",
        "app.py",
        "--image",
        f"localhost/{image}",
        "--env",
        "GREETING=a $(HOME): 'b'",
    )
    file = tmp_path / "deployment.yaml"
    # podman reads no $(NAME), and so no sign that keeps Kubernetes from it.
    file.write_text(for_this_machine(text, ports, tmp_path).replace("$$(", "$("))
    try:
        podman("kube", "play", str(file))
        assert fetch(f"http://127.0.0.1:{ports['CHUTES_PORT']}/about") == {
            "user": 10001,
            "writable": False,
            "capabilities": 0,
            "greeting": "a $(HOME): 'b'",
        }
        assert fetch(f"http://127.0.0.1:{ports['CHUTES_PROBE_PORT']}/readyz") == {"status": "ready"}
        (container,) = [
            one
            for one in podman("ps", "--format", "{{.Names}}").split()
            if name in one and "infra" not in one
        ]
        podman("stop", "-t", "60", container)
        assert podman("inspect", "-f", "{{.State.ExitCode}}", container) == "0"
    finally:
        podman("kube", "down", str(file), check=False)
        for one in re.findall(rf"\S*{name}\S*", podman("images", "--format", "{{.Repository}}:{{.Tag}}")):
            podman("rmi", "-f", one, check=False)
