"""Several machines, as processes that share nothing but a PostgreSQL."""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import httpx2
import pytest

from support.chute_process import ChuteProcess, chute_process

CHUTE = """
import asyncio
import time
from pathlib import Path

from chutes import Chute

chute = Chute(username="me", name="{name}", image="python:3.11", max_jobs=1)


@chute.job()
async def greet(self, name: str) -> str:
    return f"Hello, {{name}}!"


@chute.job(retry_count=1)
async def linger(self) -> int:
    attempt = self.jobs.current.attempt
    Path(f"begun-{{attempt}}").touch()
    if attempt == 1:
        time.sleep(60)
    return attempt


@chute.job(schedule="* * * * *")
async def tidy(self):
    pass
"""

WORKER = ("-m", "chutes", "worker")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(CHUTE.format(name=f"c{secrets.token_hex(6)}"))
    return tmp_path


async def count_runs(url: str, schema: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(
            f"""SELECT count(*) FROM "{schema}".chutes_runs WHERE job = 'greet'"""
        )
    finally:
        await connection.close()


def ended(server: ChuteProcess, place: str, seconds: float = 60) -> dict:
    deadline = time.monotonic() + seconds
    with server.client() as client:
        while not (run := client.get(place).json())["finished_at"]:
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
    return run


def test_a_run_that_its_machine_took_along_is_done_by_another(folder, postgres_server):
    told = {"CHUTES_DATABASE_URL": postgres_server.url(), "CHUTES_LOG_FORMAT": "json"}
    with chute_process(
        "app.py", "--port", "0", "--no-jobs", folder=folder, log=folder / "server", **told
    ) as server:
        with server.client() as client:
            submitted = client.post("/jobs/linger", json={})
            assert submitted.status_code == 202
            place = submitted.headers["location"]
        with chute_process("app.py", folder=folder, log=folder / "one", program=WORKER, **told) as first:
            first.wait_until((folder / "begun-1").exists)
        with chute_process("app.py", folder=folder, log=folder / "two", program=WORKER, **told):
            run = ended(server, place)
        assert "swordfish" not in server.text

    assert (run["status"], run["result"], run["attempts"]) == ("succeeded", 2, 2)
    assert [one["error"] for one in run["failed_attempts"]] == ["interrupted"]


def test_the_runs_of_a_chute_lie_in_a_schema_of_its_name(folder, postgres_server):
    told = {"CHUTES_DATABASE_URL": postgres_server.url()}
    with (
        chute_process("app.py", "--port", "0", folder=folder, log=folder / "server", **told) as server,
        server.client() as client,
    ):
        place = client.post("/jobs/greet", json={"name": "Ada"}).headers["location"]
        assert ended(server, place)["result"] == "Hello, Ada!"

    name = re.search(' name="(.*?)"', (folder / "app.py").read_text())[1]
    assert asyncio.run(count_runs(postgres_server.url(), f"me/{name}")) == 1


def test_a_chute_whose_database_is_away_does_not_start_and_says_why(folder):
    told = {"CHUTES_DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/jobs"}
    with chute_process("app.py", "--port", "0", folder=folder, log=folder / "server", **told) as server:
        assert server.wait() != 0

    assert "127.0.0.1:1/jobs failed" in server.text
    assert "secret" not in server.text


def probed(worker: ChuteProcess, name: str) -> float:
    """The sum of what a worker's metrics show of the job `greet` under this name."""

    def address() -> str | None:
        return next((line["probe_url"] for line in worker.lines if "probe_url" in line), None)

    worker.wait_until(address)
    text = httpx2.get(f"{address()}/metrics", timeout=60, trust_env=False).text
    return sum(float(value) for value in re.findall(rf'^{name}{{job="greet".*}} (\S+)$', text, re.MULTILINE))


def test_workers_share_what_the_command_line_submits_and_count_their_parts(folder, postgres_server):
    told = {"CHUTES_DATABASE_URL": postgres_server.url(), "CHUTES_LOG_FORMAT": "json"}
    shell = {name: value for name, value in os.environ.items() if not name.startswith("CHUTES_")} | told
    words = ("app.py", "--probe-port", "0")

    def jobs(*arguments: str) -> str:
        command = [sys.executable, "-m", "chutes", "jobs", *arguments, "--app", "app.py"]
        return subprocess.run(
            command, cwd=folder, env=shell, capture_output=True, text=True, check=True, timeout=100
        ).stdout

    with (
        chute_process(*words, folder=folder, log=folder / "one", program=WORKER, **told) as one,
        chute_process(*words, folder=folder, log=folder / "two", program=WORKER, **told) as two,
    ):
        ids = {jobs("submit", "greet", "name=Ada").strip() for _ in range(2)}
        assert '"Hello, Grace!"' in jobs("submit", "greet", "name=Grace", "--watch")
        one.wait_until(
            lambda: sum(probed(worker, "chutes_job_runs_total") for worker in (one, two)) >= 3, seconds=90
        )
        shown = json.loads(jobs("list", "greet", "--json"))["runs"]
        waiting = [probed(worker, "chutes_jobs_queued") for worker in (one, two)]

    assert len(shown) == 3
    assert ids < {run["id"] for run in shown}
    assert {run["status"] for run in shown} == {"succeeded"}
    assert waiting == [0, 0]
