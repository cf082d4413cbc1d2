"""`chutes run`: real processes on real ports."""

import json
import signal
import socket
import time
import urllib.request
from contextlib import suppress

import pytest

HOOK_FAILS = """
import json
from chutes import Chute

chute = Chute(username="me", name="hello", image="python:3.11")


@chute.on_startup()
async def load(self):
    self.model = json.loads("{")
"""


def post(url, value=None):
    request = urllib.request.Request(
        url, json.dumps(value or {}).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_it_says(url, wanted):
    """A chute that starts again answers 503 meanwhile."""

    def says():
        with suppress(urllib.error.HTTPError):
            return post(url) == wanted

    wait_until(says)


@pytest.mark.parametrize("reference", ["app:chute", "speech/app.py", "company.app"])
def test_a_chute_is_served_until_it_is_told_to_stop(shell, reference):
    for name in ("app.py", "speech/app.py", "company/app.py"):
        shell.write(name)

    with shell.serving("run", reference, "--port", "0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert post(f"{server.url}/hello", {"name": "Ada"}) == "Hello, Ada!"
        code, rest = server.stop(signal.SIGINT)

    assert code == 0
    assert "Traceback" not in rest


def test_the_environment_says_where_to_listen_unless_the_command_does(shell):
    shell.write("app.py")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        shell.environ["CHUTES_PORT"] = str(taken.getsockname()[1])
        shell.environ["CHUTES_HOST"] = "127.0.0.1"
        taken.listen()

        code, out, err = shell.run("run", "app.py")
        with shell.serving("run", "app.py", "--port", "0") as server:
            assert post(f"{server.url}/hello") == "Hello, you!"

    assert (code, out) == (2, "")
    assert shell.environ["CHUTES_PORT"] in err


def test_keys_of_the_environment_close_the_chute(shell):
    shell.write("app.py")
    shell.environ["CHUTES_API_KEYS"] = "open-sesame"

    with shell.serving("run", "app.py", "--port", "0") as server:
        assert status_of(f"{server.url}/docs") == 401


def test_a_saved_file_is_served_anew(shell):
    app = shell.write("app.py")

    with shell.serving("run", "app.py", "--dev", "--port", "0") as server:
        assert post(f"{server.url}/hello") == "Hello, you!"
        app.write_text(shell.chute.replace("Hello,", "Good day,"))
        wait_until_it_says(f"{server.url}/hello", "Good day, you!")
        code, _ = server.stop(signal.SIGTERM)

    assert code == 0


def test_another_folder_is_watched_when_asked(shell):
    words = shell.write("elsewhere/words_of_it.py", "WORD = 'one'\n")
    prelude = "import sys\nsys.path.append('elsewhere')\nfrom words_of_it import WORD\n"
    shell.write("service/app.py", prelude + shell.chute.replace("Hello, {name}!", "{WORD}"))

    with shell.serving(
        "run", "service/app.py", "--reload", "--reload-dir", "elsewhere", "--port", "0"
    ) as server:
        assert post(f"{server.url}/hello") == "one"
        words.write_text("WORD = 'two'\n")
        wait_until_it_says(f"{server.url}/hello", "two")


@pytest.mark.parametrize("said_by", ["--drain-delay", "CHUTES_DRAIN_DELAY"])
def test_work_is_accepted_for_a_while_after_the_signal(shell, said_by):
    shell.write("app.py")
    shell.environ["CHUTES_DRAIN_DELAY"] = "20" if said_by == "CHUTES_DRAIN_DELAY" else "0"
    options = ["--drain-delay", "20"] if said_by == "--drain-delay" else []

    with shell.serving("run", "app.py", "--port", "0", *options) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: status_of(f"{server.url}/readyz") == 503)
        assert post(f"{server.url}/hello") == "Hello, you!"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "nothing"], "There is no module 'nothing' in"),
        (["run", "nothing.py"], "There is no file 'nothing.py'."),
        (["run", "nothing.py", "--reload"], "There is no file 'nothing.py'."),
        (["run", "app.py:nothing"], "app.py has no 'nothing'."),
        (["run", "app:hello"], "'hello' in app.py is a function, not a chute."),
        (["run", "app.py", "--log-level", "loud"], "Unknown log level 'loud'."),
        (["run", "app.py", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_served_is_told_in_one_line(cli, words, text):
    cli.write("app.py")

    result = cli(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["run", "nothing"], ["run", "app:hello"]], ids=["unknown", "no chute"])
def test_the_process_ends_with_one_line_too(shell, words):
    shell.write("app.py")

    code, out, err = shell.run(*words)

    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert err.count("\n") == 1


def test_a_port_in_use_is_told_in_one_line(shell):
    shell.write("app.py")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        code, _, err = shell.run("run", "app.py", "--port", port)

    assert code == 2
    assert err.startswith("Error: ")
    assert str(port) in err
    assert err.count("\n") == 1


def test_a_variable_that_cannot_be_used_is_told_in_one_line(cli, monkeypatch):
    cli.write("app.py")
    monkeypatch.setenv("CHUTES_PORT", "eighty")

    result = cli("run", "app.py")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: Invalid CHUTES_PORT 'eighty'. Write a whole number")
    assert result.stderr.count("\n") == 1


def test_a_misspelt_variable_is_warned_of(shell):
    shell.write("app.py")
    shell.environ["CHUTES_APIKEYS"] = "a"

    with shell.serving("run", "app.py", "--port", "0") as server:
        texts = [line["message"] for line in server.lines]

    assert "The variable CHUTES_APIKEYS is not read. Did you mean CHUTES_API_KEYS?" in texts


def test_a_wrong_definition_is_told_with_its_line(cli):
    path = cli.write("app.py")
    path.write_text(path.read_text().replace('"/hello"', '"hello"'))

    result = cli("run", "app.py")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: app.py, line 7: Invalid path 'hello'")
    assert result.stderr.count("\n") == 1


def test_an_import_that_fails_two_files_down_shows_the_way_there(cli):
    cli.write("words_below.py", "import no_such_library\n")
    cli.write("app.py", "import words_below\n")

    result = cli("run", "app.py")

    assert result.exit_code == 2
    assert 'app.py", line 1, in <module>' in result.stderr
    assert 'words_below.py", line 1, in <module>' in result.stderr
    assert "importlib" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: words_below.py, line 1: `import no_such_library` failed")


def test_a_hook_that_fails_ends_with_1_and_the_users_traceback(shell):
    shell.write("app.py", HOOK_FAILS)

    code, out, err = shell.run("run", "app.py", "--port", "0")

    assert (code, out) == (1, "")
    assert 'app.py", line 10, in load' in err
    assert "JSONDecodeError" in err
    assert "decoder.py" not in err
    assert "chutes/serve" not in err
    assert err.splitlines()[-1].startswith("Error: ")


def test_debug_shows_the_frames_of_libraries_too(shell):
    shell.write("app.py", HOOK_FAILS)

    code, _, err = shell.run("run", "app.py", "--port", "0", "--debug")

    assert code == 1
    assert "decoder.py" in err
