"""`chutes new`: files that run as they are written."""

import json
import signal
import urllib.request

import pytest


def post(url, value):
    request = urllib.request.Request(
        url, json.dumps(value).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def test_without_a_name_it_writes_app_py_here(cli):
    result = cli("new")

    assert result.exit_code == 0
    assert sorted(path.name for path in cli.folder.iterdir()) == ["app.py", "test_app.py"]
    assert result.stdout.startswith("Wrote app.py and test_app.py. Next:\n")
    assert "cd " not in result.stdout
    assert "chutes run app.py --reload" in result.stdout


def test_a_name_is_a_folder(cli):
    result = cli("new", "My Speech")

    assert (cli.folder / "My Speech" / "test_app.py").is_file()
    assert 'name="my-speech"' in (cli.folder / "My Speech" / "app.py").read_text()
    assert "cd 'My Speech'" in result.stdout


def test_a_path_is_a_file(cli):
    assert cli("new", "services/speech_app.py").exit_code == 0

    assert 'name="speech-app"' in (cli.folder / "services" / "speech_app.py").read_text()
    assert "from speech_app import chute" in (cli.folder / "services" / "test_speech_app.py").read_text()


def test_nothing_is_written_over_unless_forced(cli):
    (cli.folder / "test_app.py").write_text("mine")

    refused = cli("new")

    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: test_app.py exists already. Choose another name, for example chutes new my-app, or pass --force.\n"
    )
    assert not (cli.folder / "app.py").exists()
    assert (cli.folder / "test_app.py").read_text() == "mine"
    assert cli("new", "--force").exit_code == 0
    assert (cli.folder / "test_app.py").read_text() != "mine"


def test_a_file_that_no_test_could_import_is_refused(cli):
    result = cli("new", "my-app.py")

    assert result.exit_code == 2
    assert "Choose for example my_app.py" in result.stderr


def test_a_folder_that_cannot_be_made_is_told(cli):
    (cli.folder / "taken").write_text("")

    result = cli("new", "taken/app.py")

    assert result.exit_code == 2
    assert result.stderr == "Error: taken cannot be written: File exists.\n"


def test_its_test_passes(shell):
    shell.run("new", "speech")
    shell.folder /= "speech"

    code, out, _ = shell.run("-q", "-W", "error", "-p", "no:asyncio", program=("-m", "pytest"))

    assert code == 0, out
    assert "3 passed" in out


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (("-m", "chutes"), ("run", "app.py", "--reload", "--port", "0")),
        (("-m", "chutes"), ("run", "app:chute", "--port", "0")),
    ],
    ids=["reload", "plain"],
)
def test_it_is_served_as_it_is_written(shell, program, words):
    shell.run("new")

    with shell.serving(*words, program=program) as server:
        answer = post(f"{server.url}/summarize", {"text": "It rains. It rains on the roof.", "sentences": 1})
        events = post(f"{server.url}/rank", {"text": "One. Two."})
        code, _ = server.stop(signal.SIGTERM)

    assert json.loads(answer) == {"summary": "It rains on the roof.", "sentences": 1}
    assert events.count("data:") == 2
    assert code == 0


def test_it_runs_as_a_program(shell):
    shell.run("new")
    text = (shell.folder / "app.py").read_text()
    (shell.folder / "app.py").write_text(text.replace('host="127.0.0.1"', 'host="127.0.0.1", port=0'))

    with shell.serving(program=("app.py",)) as server:
        answer = post(f"{server.url}/summarize", {"text": "It rains."})
        code, _ = server.stop(signal.SIGINT)

    assert json.loads(answer) == {"summary": "It rains.", "sentences": 1}
    assert code == 0
