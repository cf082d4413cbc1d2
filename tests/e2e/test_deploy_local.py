"""A chute as containers of podman on this machine: deployed, replaced under load, broken, killed, scaled, deleted."""

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.require import require, require_program

from chutes.deploy import Plan
from chutes.deploy.local import LocalPlatform, find_runner
from chutes.errors import DeployError

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

BASE = "localhost/chutes-test-python:3.11"
CONFIGURATION = Path(
    os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "chutes-ci/containers/containers.conf"
)
MODELS = "chutes.models"
APP = """
import os
from pathlib import Path
from chutes import Chute

if os.environ.get("BREAK"):
    raise RuntimeError("this revision is broken")
chute = Chute(username="test", name="NAME", image="BASE", concurrency=64, shutdown_grace=5)


@chute.cord("/version", method="GET")
def version(self) -> str:
    return "VERSION"


@chute.cord("/keep", method="POST")
def keep(self, text: str) -> str:
    for folder in ("HF_HOME", "CHUTES_HOME"):
        Path(os.environ[folder], "NAME.txt").write_text(text)
    return text


@chute.cord("/kept", method="GET")
def kept(self) -> list:
    return [Path(os.environ[folder], "NAME.txt").read_text() for folder in ("HF_HOME", "CHUTES_HOME")]


@chute.job()
async def note(self) -> str:
    return "VERSION"
"""


@pytest.fixture(scope="module")
def podman():
    """Run podman; returns what it prints."""
    program = require_program("podman")
    patch = pytest.MonkeyPatch()
    if CONFIGURATION.exists():
        patch.setenv("CONTAINERS_CONF", str(CONFIGURATION))

    def run(*words, check=True):
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    found = subprocess.run([program, "image", "exists", BASE], check=False).returncode == 0
    require(found, f"There is no image {BASE}; `bash .ci/containers.sh` makes it.")
    had_models = bool(run("volume", "inspect", MODELS, check=False).strip("[] \n"))
    yield run
    if not had_models:
        run("volume", "rm", MODELS, check=False)
    patch.undo()


@pytest.fixture(scope="module")
def built(podman, tmp_path_factory):
    """The name of the chute, and two images of it, the second of changed code."""
    folder, name = tmp_path_factory.mktemp("app"), f"deployed-{os.getpid()}"
    images = []
    for version in ("one", "two"):
        text = APP.replace("NAME", name).replace("BASE", BASE).replace("VERSION", version)
        (folder / "app.py").write_text(text)
        command = [sys.executable, "-m", "chutes", "build", "app.py", "--tool", "podman"]
        done = subprocess.run(
            [*command, "--", "--network", "host"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        images.append(f"localhost/{done.stdout.strip()}")
    yield name, *images
    for image in re.findall(rf"\S*{name}\S*", podman("images", "--format", "{{.Repository}}:{{.Tag}}")):
        podman("rmi", "-f", image, check=False)


class Place:
    """The platform, and the chute on it."""

    def __init__(self, podman, home, built):
        self.podman, self.home, self.said = podman, home, []
        self.name, self.one, self.two = built
        self.slug = f"test/{self.name}"
        self.platform = LocalPlatform(find_runner("podman", self.said.append), home, ready_seconds=120)
        self.plan = Plan(username="test", name=self.name, image=self.one, drain_delay=4, shutdown_grace=5)

    def change(self, note="deploy", **changes):
        self.plan = replace(self.plan, **changes)
        made = self.platform.apply(self.plan, note=note, say=self.said.append)
        self.url = made.url
        return made

    def now(self):
        return next(one for one in self.platform.deployments() if one.slug == self.slug)

    def ask(self, path, **body):
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def submit(self, delay):
        """Submits a run; returns the path that tells of it."""
        url = f"{self.url}/jobs/note?delay={delay}"
        request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return f"/jobs/note/{json.load(answer)['id']}"

    def wait_until(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.podman("ps", "-a")
            time.sleep(0.1)

    def containers(self):
        return self.podman(
            "ps", "-a", "--filter", f"label=chutes.slug={self.slug}", "--format", "{{.Names}}"
        ).split()


@pytest.fixture(scope="module")
def place(podman, built, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    found = Place(podman, home, built)
    yield found
    for name in found.containers():
        podman("rm", "-f", "-t", "0", name, check=False)
    podman("volume", "rm", f"chutes.{found.slug.replace('/', '.')}", check=False)
    shutil.rmtree(home, ignore_errors=True)


def has_ended(pid):
    """Whether all its threads have: the last of them closes what it listened on."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX" and len(threads) == 1


class Load:
    """Fifty requests a second until it is left: four clients keep their connections, one takes a new one each time."""

    def __init__(self, url):
        self.host, self.answers, self.failures = url.removeprefix("http://"), Counter(), []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(keeps,)) for keeps in (True,) * 4 + (False,)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def run(self, keeps):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        while not self.stopping.wait(0.1):
            try:
                connection.request("GET", "/version")
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    self.answers[text] += 1
                else:
                    self.failures.append((answer.status, text))
            except (OSError, http.client.HTTPException) as exc:
                self.failures.append(repr(exc))
                connection.close()
            if not keeps:
                connection.close()
        connection.close()


# The tests follow one chute through its life, in the order of the file. One that runs alone deploys it first.


@pytest.fixture
def running(place):
    """The chute as its second image, on one instance."""
    slugs = [one.slug for one in place.platform.deployments()]
    wanted = replace(place.plan, image=place.two, environment={}, instances=None)
    if place.slug not in slugs or place.now().plan.image != place.two or not place.now().ready:
        place.plan = wanted
        place.change()
    return place


def test_a_chute_is_deployed_and_answers_on_its_port(place):
    made = place.change()
    assert made.ready == 1
    assert place.ask("/version") == "one"
    assert any(line.startswith("podman run --detach --name chutes.test.") for line in place.said)


def test_a_new_revision_takes_over_under_load_and_jobs_and_files_stay(place):
    first = place.now() if place.platform.deployments() else place.change(image=place.one)
    place.ask("/keep", text="a file")
    done, queued = place.submit(delay=0), place.submit(delay=3600)
    place.wait_until(lambda: place.ask(done)["status"] == "succeeded")
    url = place.url
    with Load(url) as load:
        place.wait_until(lambda: load.answers['"one"'] > 50)
        made = place.change(image=place.two)
        before = load.answers['"two"']
        place.wait_until(lambda: load.answers['"two"'] > before + 50)
    assert not load.failures
    assert set(load.answers) == {'"one"', '"two"'}
    assert (made.url, made.current, made.ready) == (url, first.current + 1, 1)
    assert place.ask("/kept") == ["a file", "a file"]
    assert place.ask(done)["result"] == "one"
    assert place.ask(queued)["status"] == "queued"
    last = place.submit(delay=0)
    place.wait_until(lambda: place.ask(last)["status"] == "succeeded")
    assert place.ask(last)["result"] == "two"


def test_a_minute_of_updates_fails_no_request(running):
    place = running
    images = itertools.cycle((place.one, place.two))
    with Load(place.url) as load:
        end = time.monotonic() + 45
        while time.monotonic() < end:
            assert place.change(image=next(images)).ready == 1
        place.change(image=place.two)
    assert not load.failures
    assert min(load.answers.values()) > 50


def test_a_broken_revision_is_given_up_and_its_log_is_shown(running):
    place = running
    with Load(place.url) as load, pytest.raises(DeployError, match=r"(?s)it ended.*this revision is broken"):
        place.change(environment={"BREAK": "yes"})
    place.plan = place.now().plan
    assert place.now().ready == 1
    assert not load.failures
    assert set(load.answers) == {'"two"'}
    assert place.now().revisions[-1].outcome == "failed"
    assert len(place.containers()) == 2


def test_an_instance_that_is_killed_comes_back_and_new_calls_wait_for_it(running):
    place = running
    [instance] = place.now().instances
    pid = int(place.podman("inspect", "-f", "{{.State.Pid}}", instance.name))
    os.kill(pid, signal.SIGKILL)
    # Until it is gone it may take connections that it will never answer.
    place.wait_until(lambda: has_ended(pid))
    assert place.ask("/version") == "two"
    place.wait_until(lambda: place.now().ready == 1)
    assert place.now().instances[0].restarts >= 1


def test_it_is_scaled_up_down_and_off(running):
    place = running
    before = place.now().instances
    made = place.change("scale to 2", instances=2)
    assert made.ready == 2
    assert before[0].name in [one.name for one in made.instances]
    assert place.change("scale to 0", instances=0).instances == ()
    with pytest.raises(urllib.error.HTTPError) as refused:
        place.ask("/version")
    assert refused.value.code == 503
    assert json.load(refused.value)["detail"] == "The chute does not run: it was scaled to 0."
    assert place.change("scale to 1", instances=1).ready == 1
    assert place.ask("/version") == "two"


def test_its_lines_can_be_read_and_followed(running):
    place = running
    lines = list(place.platform.logs(place.slug, lines=50, follow=False))
    assert any("is ready on" in line for line in lines)
    following = place.platform.logs(place.slug, lines=1, follow=True)
    assert next(following)
    following.close()


def test_nothing_of_it_is_left_when_it_is_deleted(running):
    place = running
    place.platform.delete(place.slug, data=True, say=place.said.append)
    assert place.containers() == []
    assert f"chutes.test.{place.name}" not in place.podman("volume", "ls", "--format", "{{.Name}}").split()
    assert [file.name for file in (place.home / "deployments").iterdir()] == [".locks"]
    assert place.platform.deployments() == []
    with pytest.raises(OSError, match="refused"):
        place.ask("/version")
