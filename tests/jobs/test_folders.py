"""`output_dir`: a folder for the files of each attempt."""

from pathlib import Path

import pytest

from chutes import Chute
from chutes.testing import TestClient, wait_until


@pytest.fixture
def chute():
    return Chute(username="me", name="files", image="python:3.12")


def end_of(client, job, **arguments):
    place = client.post(f"/jobs/{job}", json=arguments).raise_for_status().headers["location"]
    wait_until(lambda: client.get(place).json()["finished_at"], 60)
    return client.get(place).json()


def test_a_function_with_job_data_gets_an_empty_folder_among_it(chute):
    @chute.job(timeout=300, upload=True, ports=[], ssh=False)
    async def train(self, **job_data):
        folder = Path(job_data["output_dir"])
        assert list(folder.iterdir()) == []
        (folder / "model.bin").write_bytes(b"weights")
        return {
            "folder": str(folder),
            "steps": job_data["steps"],
            "size": (folder / "model.bin").stat().st_size,
        }

    with TestClient(chute) as client:
        result = end_of(client, "train", steps=3)["result"]

    assert (result["steps"], result["size"]) == (3, 7)
    assert not Path(result["folder"]).exists()


def test_each_attempt_gets_a_folder_of_its_own(chute):
    folders = []

    @chute.job(retry_count=1)
    def render(self, output_dir: str, name: str = "a"):
        folders.append(Path(output_dir))
        assert folders[-1].is_dir()
        assert not list(folders[-1].iterdir())
        (folders[-1] / name).touch()
        raise ValueError("broken")

    with TestClient(chute) as client:
        assert end_of(client, "render")["status"] == "failed"

    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)


def test_nobody_else_says_where_it_is(chute):
    @chute.job()
    async def train(self, steps: int, output_dir: str):
        return output_dir

    with TestClient(chute) as client:
        answer = client.post("/jobs/train", json={"steps": 1, "output_dir": "/etc"})
        document = client.get("/openapi.json").json()

    assert answer.status_code == 422
    assert "gets its 'output_dir' from the chute" in answer.text
    body = document["paths"]["/jobs/train"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert list(body["properties"]) == ["steps"]


def test_a_function_that_asks_for_none_gets_none(chute):
    @chute.job()
    async def plain(self, steps: int = 1):
        return steps

    with TestClient(chute) as client:
        assert end_of(client, "plain")["result"] == 1


def test_a_schedule_brings_it_too(chute):
    @chute.job(schedule="@daily")
    async def tidy(self, output_dir):
        return None

    assert list(chute.jobs) == ["tidy"]
