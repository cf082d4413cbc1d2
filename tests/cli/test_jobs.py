"""`chutes jobs`: against a running chute, and straight on a database."""

import json
import re
import signal

import pytest

from chutes import Chute
from support.http_servers import asgi_server, unused_address

CHUTE = """
import a_library_that_nobody_has

from chutes import Chute

chute = Chute(username="me", name="reports", image="python:3.12")


@chute.job(schedule="@daily")
async def tidy(self):
    print("tidied")


@chute.job(retry_count=0)
async def report(self, title: str, pages: int = 1) -> dict:
    if not title:
        raise ValueError("A report needs a title.")
    await self.jobs.current.progress(0.5, "half of it")
    self.logger.warning("About %s.", title)
    return {"title": title, "pages": pages}


@chute.job()
async def render(self, output_dir: str):
    from pathlib import Path
    Path(output_dir, "frames").mkdir()
    Path(output_dir, "frames", "1.txt").write_text("one")
    Path(output_dir, "film.mp4").write_bytes(b"film")
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    chute = Chute(username="me", name="reports", image="python:3.12")
    names = {"chute": chute}
    exec(CHUTE.partition('image="python:3.12")')[2], names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHUTES_HOME", str(tmp_path_factory.mktemp("home")))
        with asgi_server(chute, lifespan="on") as address:
            yield address


@pytest.fixture
def jobs(cli, url):
    """`chutes jobs …` at a running chute: exit code, stdout, stderr."""

    def run(command, *words):
        result = cli("jobs", command, *words, "--url", url)
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def local(cli):
    """`chutes jobs …` on the database of a chute that nobody serves, and whose library is missing here."""
    cli.write("app.py", CHUTE)

    def run(command, *words):
        result = cli("jobs", command, *words, "--app", "app.py")
        return result.exit_code, result.stdout, result.stderr

    return run


def submit(run, *words):
    code, out, err = run("submit", *words)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"[0-9a-f]{32}\n", out)
    return out.strip()


def test_a_run_is_submitted_and_watched_to_its_result(jobs):
    run_id = submit(jobs, "report", "title=Bees", "pages:=3")

    code, out, err = jobs("watch", run_id)

    assert code == 0
    assert json.loads(out) == {"title": "Bees", "pages": 3}
    assert "warning: About Bees." in err.splitlines()
    assert err.splitlines()[-1] == "succeeded"


def test_a_run_that_fails_ends_the_watch_with_1(jobs):
    code, out, err = jobs("submit", "report", "title=", "--watch")

    assert (code, out) == (1, "")
    assert "ValueError: A report needs a title." in err


def test_events_are_lines_of_json_for_scripts(jobs):
    run_id = submit(jobs, "report", "--json", '{"title": "Bees"}')

    code, out, _ = jobs("watch", run_id, "--json")
    events = [json.loads(line) for line in out.splitlines()]

    assert code == 0
    assert events[-1]["event"] == "state"
    assert events[-1]["result"] == {"title": "Bees", "pages": 1}
    assert "About Bees." in [event.get("message") for event in events]


def test_on_a_terminal_there_is_a_bar(jobs, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")

    code, out, err = jobs("submit", "report", "title=Bees", "--watch")

    assert code == 0
    assert "About Bees." in err
    assert "━" in err
    assert json.loads(out)["title"] == "Bees"


def test_jobs_and_runs_are_listed(jobs):
    run_id = submit(jobs, "report", "title=Bees")
    jobs("watch", run_id)

    code, out, _ = jobs("list")
    assert code == 0
    assert re.search(r"^tidy +@daily +\d{4}-\S+Z +4$", out, re.MULTILINE)
    assert re.search(rf"^{run_id} +report +succeeded +\S+Z +\d+\.\d s", out, re.MULTILINE)
    assert "half of it" not in out

    found = json.loads(jobs("list", "report", "--status", "succeeded", "--limit", "1", "--json")[1])
    assert [run["status"] for run in found["runs"]] == ["succeeded"]
    assert [job["name"] for job in found["jobs"]] == ["report"]


def test_a_run_is_shown_with_its_failed_attempts(jobs):
    run_id = submit(jobs, "report", "title=", "--idempotency-key", "nothing")
    jobs("watch", run_id)

    code, out, _ = jobs("show", run_id)

    assert code == 0
    assert re.search(r"^status +failed$", out, re.MULTILINE)
    assert re.search(r"^key +nothing$", out, re.MULTILINE)
    assert re.search(r'^arguments +{"title":""}$', out, re.MULTILINE)
    assert "ValueError: A report needs a title." in out
    assert json.loads(jobs("show", run_id, "--json")[1])["id"] == run_id
    assert submit(jobs, "report", "title=", "--idempotency-key", "nothing") == run_id


@pytest.mark.parametrize("where", ["jobs", "local"])
def test_a_run_is_cancelled_and_queued_again(where, request):
    run = request.getfixturevalue(where)
    run_id = submit(run, "report", "title=Later", "--delay", "3600")

    assert run("cancel", run_id)[:2] == (0, "cancelled\n")
    assert run("retry", run_id)[:2] == (0, "queued\n")
    if where == "jobs":
        run("watch", run_id)
    code, _, err = run("retry", run_id)
    assert code != 0
    assert "only a failed or cancelled run can be queued again" in err


def test_a_run_that_has_ended_cannot_be_cancelled(jobs):
    run_id = submit(jobs, "report", "title=Bees")
    jobs("watch", run_id)

    code, _, err = jobs("cancel", run_id)

    assert (code, err) == (1, f"Run {run_id} has ended already: it is succeeded.\n")


def test_old_runs_are_removed(jobs):
    run_id = submit(jobs, "report", "title=Bees")
    jobs("watch", run_id)

    assert jobs("purge", "report")[:2] == (0, "0\n")
    assert int(jobs("purge", "--days", "0")[1]) >= 1
    assert jobs("show", run_id)[0] == 1


@pytest.mark.parametrize("where", ["jobs", "local"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("submit", "reprot", "title=Bees"), 1, "Did you mean 'report'?"),
        (("list", "reprot"), 1, "Did you mean 'report'?"),
        (("submit", "report", "titel=Bees"), 1, "title"),
        (("submit", "report", "title"), 2, "name:=json"),
        (("submit", "report", "title@app.py"), 2, "A job takes JSON, no files"),
        (("submit", "report", "--json", "[1]"), 2, "a JSON list"),
        (("submit", "report", "title=Bees", "--json", "{}"), 2, "not both"),
        (("show", "nothing"), 1, "There is no run 'nothing'"),
        (("list", "--status", "runing"), 2, "runing"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(where, words, code, said, request, cli):
    cli.write("app.py", CHUTE)

    found, _, err = request.getfixturevalue(where)(*words)

    assert found == code, err
    assert said in err


def test_a_chute_that_is_not_there_is_told(cli):
    with unused_address() as address:
        result = cli("jobs", "list", "--url", address)

    assert result.exit_code == 2
    assert "No connection to" in result.stderr


def test_a_running_chute_and_a_database_are_two_things(cli):
    result = cli("jobs", "list", "--url", "http://127.0.0.1:1", "--app", "app.py")

    assert result.exit_code == 2
    assert "not both" in result.stderr


def test_runs_can_be_looked_at_while_nothing_is_served(local):
    run_id = submit(local, "report", "title=Bees", "--priority", "5")

    shown = json.loads(local("show", run_id, "--json")[1])
    listed = json.loads(local("list", "--json")[1])

    assert (shown["status"], shown["priority"]) == ("queued", 5)
    assert [run["id"] for run in listed["runs"]] == [run_id]
    assert local("purge", "--days", "0")[1] == "0\n"


def test_a_run_in_a_database_is_watched_while_a_worker_runs_it(local, shell):
    run_id = submit(local, "report", "title=Bees")
    (shell.folder / "a_library_that_nobody_has.py").touch()

    with shell.popen("worker", "app.py") as worker:
        code, out, err = local("watch", run_id)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)

    assert (code, json.loads(out)) == (0, {"title": "Bees", "pages": 1})
    assert "warning: About Bees." in err.splitlines()


def test_the_files_of_a_run_are_listed_and_downloaded(jobs, tmp_path):
    run_id = submit(jobs, "render")
    assert jobs("watch", run_id)[0] == 0

    rows = [line.split()[:3] for line in jobs("files", run_id)[1].splitlines()]
    assert rows == [
        ["File", "bytes", "type"],
        ["film.mp4", "4", "video/mp4"],
        ["frames/1.txt", "3", "text/plain"],
    ]
    assert [file["path"] for file in json.loads(jobs("files", run_id, "--json")[1])] == [
        "film.mp4",
        "frames/1.txt",
    ]
    assert "2, 7 bytes" in jobs("show", run_id)[1]

    code, out, _ = jobs("download", run_id, "--to", str(tmp_path / "to"))
    assert code == 0
    assert out.split() == [str(tmp_path / "to" / "film.mp4"), str(tmp_path / "to" / "frames" / "1.txt")]
    assert (tmp_path / "to" / "frames" / "1.txt").read_text() == "one"

    assert jobs("download", run_id, "film.mp4", "--to", str(tmp_path / "one"))[0] == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["film.mp4"]
    code, _, err = jobs("download", run_id, "film.mp3", "--to", str(tmp_path))
    assert (code, "Did you mean 'film.mp4'?" in err) == (1, True)


def test_the_files_of_a_run_in_a_database_need_no_server(local, shell):
    run_id = submit(local, "render")
    assert local("files", run_id)[2] == "The run has left no files.\n"
    (shell.folder / "a_library_that_nobody_has.py").touch()
    with shell.popen("worker", "app.py") as worker:
        local("watch", run_id)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=60)

    code, out, err = local("download", run_id)

    assert (code, out.split()) == (0, ["film.mp4", "frames/1.txt"]), err
    assert (shell.folder / "film.mp4").read_bytes() == b"film"
    code, _, err = local("download", run_id, "other")
    assert (code, "has no file 'other'" in err) == (1, True)
