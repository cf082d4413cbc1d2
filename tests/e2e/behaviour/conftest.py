"""Where the chute of this folder runs: under `chutes run`, and on a Ray cluster. The tests do not know which."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from chutes.build import make_context
from chutes.deploy import Secret, make_plan
from chutes.deploy.ray import RayPlatform
from chutes.loading import load
from support.chute_process import chute_process
from support.postgres import shared_server

APP = Path(__file__).parent / "app.py"
SECONDS = 60


@dataclass
class Served:
    """The chute as its callers see it.

    Attributes:
        url: where it answers; all its instances where something stands before them.
        each: where each instance answers, or the one address of all.
        notes: the file in which it notes what happens.
    """

    url: str
    each: list[str]
    notes: Path

    def client(self, **options):
        return httpx2.Client(base_url=self.url, timeout=SECONDS, trust_env=False, **options)

    def noted(self):
        return self.notes.read_text().splitlines()

    def note(self, text):
        with self.notes.open("a") as file:
            file.write(f"{text}\n")

    def wait_until(self, happened, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, f"It did not happen within {seconds} s: {self.noted()}"
            time.sleep(0.05)


class Place:
    """Somewhere the chute can run.

    Args:
        folder: for what it leaves behind.
    """

    def __init__(self, folder):
        self.folder = folder

    def written(self, name):
        """The chute's file under another name, and where its instances note what happens."""
        folder = self.folder / name
        folder.mkdir()
        file, notes = folder / "app.py", folder / "notes"
        file.write_text(APP.read_text().replace('"everything"', f'"{name}"'))
        notes.touch()
        return file, notes


class Here(Place):
    """Each instance is a process of `chutes run`."""

    @contextmanager
    def serve(self, name, instances=1, **environ) -> Iterator[Served]:
        file, notes = self.written(name)
        environ = {"NOTES": str(notes), "CHUTES_HOME": str(file.parent), **environ}
        words = (file, "--port", 0)
        with ExitStack() as stack:
            running = [
                stack.enter_context(
                    chute_process(*words, folder=file.parent, log=file.with_name(f"{number}.log"), **environ)
                )
                for number in range(instances)
            ]
            urls = [one.url for one in running]
            yield Served(urls[0], urls, notes)
            for one in running:
                assert one.stop() == 0


class OnRay(Place):
    """Each instance is a replica of Ray Serve."""

    def __init__(self, folder, cluster):
        super().__init__(folder)
        self.cluster = cluster

    @contextmanager
    def serve(self, name, instances=1, **environ) -> Iterator[Served]:
        file, notes = self.written(name)
        loaded = load(f"{file}:chute")
        context = make_context(loaded)
        plan = make_plan(
            loaded.chute,
            image="",
            digest=context.digest,
            target="app.py:chute",
            environment={"NOTES": str(notes), "CHUTES_HOME": str(file.parent)},
            secrets=tuple(Secret(name=one) for one in environ),
            instances=instances,
        )
        platform = RayPlatform(
            address=self.cluster.dashboard,
            token=self.cluster.token,
            url=self.cluster.url,
            context=context,
            secrets=environ,
            timeout=120,
        )
        url = platform.apply(plan, note="deploy", say=str).url
        assert url is not None
        served = Served(url, [url], notes)
        served.wait_until(lambda: answers(url))
        try:
            yield served
        finally:
            platform.delete(plan.slug, data=True, say=str)
            served.wait_until(lambda: not answers(url))


def answers(url):
    with httpx2.Client(timeout=SECONDS, trust_env=False) as client:
        return client.get(f"{url}/livez").status_code == 200


@pytest.fixture(scope="session")
def postgres(tmp_path_factory, worker_id):
    base = tmp_path_factory.getbasetemp()
    with shared_server(base if worker_id == "master" else base.parent) as server:
        yield server


@pytest.fixture(scope="module", params=["run", pytest.param("ray", marks=pytest.mark.ray)])
def place(request, tmp_path_factory):
    """What serves the chute of this folder."""
    folder = tmp_path_factory.mktemp("behaviour")
    # A cluster takes half a minute to start: who runs here does not ask for one.
    return Here(folder) if request.param == "run" else OnRay(folder, request.getfixturevalue("three_nodes"))


@pytest.fixture(scope="module")
def chute(place):
    """One instance, open to all."""
    with place.serve("everything") as served:
        yield served
