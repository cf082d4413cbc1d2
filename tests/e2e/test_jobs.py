"""Jobs of a served chute whose process is killed: what was accepted is done."""

import signal

import pytest


@pytest.fixture
def home(tmp_path):
    return {"CHUTES_HOME": str(tmp_path / "home")}


def submit(chute, job, **arguments):
    with chute.client() as client:
        response = client.post(f"/jobs/{job}", json=arguments)
    assert response.status_code == 202, response.text
    return response.headers["location"]


def run_at(chute, location):
    with chute.client() as client:
        return client.get(location).json()


def finished(chute, locations):
    runs = [run_at(chute, location) for location in locations]
    return [run for run in runs if run["status"] == "succeeded"]


def test_a_killed_process_loses_nothing_that_it_accepted(serve, tmp_path, home):
    with serve("apps/durable.py", **home) as chute:
        locations = [submit(chute, "work", folder=str(tmp_path), number=n) for n in range(12)]
        chute.wait_until(lambda: len(finished(chute, locations)) >= 3)
        chute.stop(signal.SIGKILL)
    with serve("apps/durable.py", **home) as chute:
        chute.wait_until(lambda: len(finished(chute, locations)) == 12)
        runs = [run_at(chute, location) for location in locations]
    assert [run["result"] for run in runs] == list(range(12))
    for run in runs:
        began = (tmp_path / f"{run['result']}.begun").read_text().splitlines()
        # At most one attempt was interrupted, and it is on record.
        assert len(began) == run["attempts"] <= 2
        assert [one["error"] for one in run["failed_attempts"]] == ["interrupted"] * (run["attempts"] - 1)


def test_a_job_that_kills_its_process_stops_after_its_attempts(serve, tmp_path, home):
    location = None
    for attempt in (1, 2, 3):
        with serve("apps/durable.py", **home) as chute:
            if location is None:
                location = submit(chute, "deadly", folder=str(tmp_path))
            assert chute.wait() == -signal.SIGKILL
        began = (tmp_path / "deadly.begun").read_text().split()
        assert began == [str(n) for n in range(1, attempt + 1)]
    with serve("apps/durable.py", **home) as chute:
        chute.wait_until(lambda: run_at(chute, location)["status"] == "failed")
        run = run_at(chute, location)
    assert (run["attempts"], run["error"]) == (3, "interrupted")


def test_a_stop_hands_back_what_it_cannot_finish(serve, tmp_path, home):
    with serve("apps/durable.py", **home) as chute:
        location = submit(chute, "work", folder=str(tmp_path), number=1, seconds=60)
        chute.wait_until((tmp_path / "1.begun").exists)
        assert chute.stop() == 0
    with serve("apps/durable.py", **home) as chute:
        chute.wait_until(lambda: len((tmp_path / "1.begun").read_text().split()) == 2)
        run = run_at(chute, location)
        with chute.client() as client:
            client.delete(location)
        chute.wait_until(lambda: run_at(chute, location)["status"] == "cancelled")
    # The attempt that was handed back did not count.
    assert run["attempts"] == 1
    assert (tmp_path / "1.begun").read_text().split() == ["1", "1"]


def test_two_processes_share_the_work(serve, tmp_path, home):
    with serve("apps/durable.py", **home) as first, serve("apps/durable.py", **home) as second:
        locations = [
            submit(chute, "work", folder=str(tmp_path), number=n)
            for n, chute in enumerate([first, second] * 8)
        ]
        second.wait_until(lambda: len(finished(second, locations)) == 16)
        first.stop(signal.SIGKILL)
        more = [submit(second, "work", folder=str(tmp_path), number=n) for n in range(16, 20)]
        second.wait_until(lambda: len(finished(second, more)) == 4)
    for number in range(20):
        assert len((tmp_path / f"{number}.begun").read_text().split()) >= 1


def test_a_job_that_hangs_in_a_thread_does_not_keep_the_process(serve, tmp_path, home):
    with serve("apps/durable.py", **home) as chute:
        submit(chute, "hang", folder=str(tmp_path))
        chute.wait_until((tmp_path / "hang.begun").exists)
        chute.send()
        # The process says with its exit code that it left a thread behind, as for a hanging cord.
        assert chute.wait() == 0
