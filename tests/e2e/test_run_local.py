"""`python app.py`: a program that serves its own chute, with and without reload."""

import os
import re
import signal
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from support.child_processes import is_alive, wait_until_gone
from support.chute_process import SECONDS, reserved_port

PROGRAM = """
import sys
from chutes import Chute
from words import WORD

chute = Chute(username="me", name="local", image="python:3.11")

@chute.cord("/say")
async def say(self) -> str:
    return f"{WORD} one"

@chute.on_shutdown()
async def farewell(self):
    print("the shutdown hook ran")

if __name__ == "__main__":
    chute.run_local(host="127.0.0.1", port=int(sys.argv[1]), reload=(sys.argv[2] == "yes"), log_level="info")
    print("the program goes on")
"""


@pytest.fixture
def local(program):
    """Starts the program, and waits until it serves."""
    program.write("WORD = 'word'\n", "words.py")
    program.write(PROGRAM)

    @contextmanager
    def start(reload, words=("app.py",)):
        with reserved_port() as port, program.start(port, reload, program=words) as chute:
            chute.port_known = port
            says(chute, "word one")
            yield chute

    return start


def say(chute):
    """What the cord says, or the status of a refusal."""
    with httpx2.Client(trust_env=False, timeout=SECONDS) as client:
        answer = client.post(f"http://127.0.0.1:{chute.port_known}/say")
    return answer.json() if answer.status_code == 200 else answer.status_code


def says(chute, wanted):
    """Returns once it says so."""

    def said():
        with suppress(httpx2.TransportError):
            return say(chute) == wanted

    chute.wait_until(said)


def children(pid):
    """The processes that a process has started, and those that they have."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def test_without_reload_the_program_itself_serves(local):
    with local("no") as chute:
        assert children(chute.process.pid) == []
        code = chute.stop(signal.SIGINT)

    assert code == 0
    assert chute.text.index("the shutdown hook ran") < chute.text.index("the program goes on")
    assert "Traceback" not in chute.text


@pytest.mark.slow
def test_a_saved_program_is_served_anew(local, program):
    with local("yes") as chute:
        program.write(PROGRAM.replace("{WORD} one", "{WORD} two"))
        says(chute, "word two")
        assert "app.py changed: reloading" in chute.text
        code = chute.stop(signal.SIGTERM)

    assert code == 0


def test_a_saved_module_beside_it_is_served_anew(local, program):
    with local("yes") as chute:
        program.write("WORD = 'another'\n", "words.py")
        says(chute, "another one")
        program.write("WORD = 'a third'\n", "words.py")
        says(chute, "a third one")


def test_a_syntax_error_is_told_and_the_old_program_serves_on(local, program):
    with local("yes") as chute:
        program.write(PROGRAM.replace("return f", "return f("))
        chute.wait_until_it_says("Not reloaded")
        assert say(chute) == "word one"
        program.write("WORD = 'w\n", "words.py")
        chute.wait_until(lambda: chute.text.count("Not reloaded") >= 2)
        program.write(PROGRAM.replace("{WORD} one", "{WORD} two"))
        program.write("WORD = 'mended'\n", "words.py")
        says(chute, "mended two")

    assert re.search(r"app\.py, line \d+: .* Not reloaded: fix it and save it", chute.text)
    assert "Traceback" not in chute.text


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("raise RuntimeError('not today')\n", "RuntimeError: not today"),
        pytest.param(
            "from elsewhere import nothing\n", "No module named 'elsewhere'", marks=pytest.mark.slow
        ),
        pytest.param("import sys\nsys.exit('enough')\n", "enough", marks=pytest.mark.slow),
        pytest.param("import os\nos._exit(3)\n", "exit code 3", marks=pytest.mark.slow),
    ],
    ids=["raises", "imports what is not there", "exits", "dies"],
)
def test_an_import_that_fails_is_told_and_mended(local, program, broken, told):
    with local("yes") as chute:
        program.write(broken, "words.py")
        chute.wait_until_it_says(told)
        chute.wait_until_it_says("Fix the file and save it")
        assert say(chute) == 503
        program.write("WORD = 'mended'\n", "words.py")
        says(chute, "mended one")
        code = chute.stop(signal.SIGINT)

    assert code == 0


@pytest.mark.slow
def test_a_hook_that_fails_is_told_and_mended(local, program):
    with local("yes") as chute:
        hook = "\n@chute.on_startup()\nasync def load(self):\n    open('no-such-file')\n\nif __name__"
        program.write(PROGRAM.replace("\nif __name__", hook))
        chute.wait_until_it_says("FileNotFoundError")
        chute.wait_until_it_says("Fix the file and save it")
        program.write(PROGRAM.replace("{WORD} one", "{WORD} two"))
        says(chute, "word two")


def test_nobody_is_turned_away_while_it_reloads(local, program):
    with local("yes") as chute:
        answers, over = [], threading.Event()

        def keep_asking():
            while not over.is_set():
                try:
                    answers.append(say(chute))
                except httpx2.TransportError as error:
                    answers.append(repr(error))

        asking = threading.Thread(target=keep_asking)
        asking.start()
        chute.wait_until(lambda: answers)
        for word in ("first", "second"):
            program.write(f"WORD = '{word}'\n", "words.py")
            says(chute, f"{word} one")
        over.set()
        asking.join()

    assert {"word one", "second one"} <= set(answers)
    assert set(answers) <= {"word one", "first one", "second one", 503}


@pytest.mark.parametrize("reload", ["yes", "no"])
def test_ctrl_c_in_the_terminal_ends_all_of_it_in_order(local, reload):
    with local(reload) as chute:
        left = children(chute.process.pid)
        # A terminal sends the signal to each process of the group.
        os.killpg(chute.process.pid, signal.SIGINT)
        code = chute.wait()
        wait_until_gone(left)

    assert code == 0
    assert chute.text.count("the shutdown hook ran") == 1
    assert "Traceback" not in chute.text


def test_nothing_is_left_when_the_program_is_killed(local):
    with local("yes") as chute:
        left = children(chute.process.pid)
        assert left
        assert all(map(is_alive, left))
        chute.stop(signal.SIGKILL)
        wait_until_gone(left)


@pytest.mark.parametrize("reload", ["yes", "no"])
def test_a_port_in_use_ends_it_with_2_and_a_line(local, program, reload):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with program.start(port, reload, program=("app.py",)) as chute:
            code = chute.wait()

    assert code == 2
    assert f"Port {port} on 127.0.0.1 is taken." in chute.text
    assert "Traceback" not in chute.text
    assert "the program goes on" not in chute.text


def test_a_hook_that_fails_ends_a_program_without_reload(local, program):
    program.write(
        PROGRAM.replace(
            "\nif __name__", "\n@chute.on_startup()\ndef load(self):\n    open('x')\n\nif __name__"
        )
    )
    with program.start(0, "no", program=("app.py",)) as chute:
        code = chute.wait()

    assert code == 1
    assert "FileNotFoundError" in chute.text
    assert "in load" in chute.text
    assert "chutes/serve" not in chute.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("-m", "app"), ("-X", "utf8", "./app.py")], ids=["as a module", "with options"]
)
def test_it_reloads_however_it_was_started(local, program, words):
    with local("yes", words) as chute:
        program.write("WORD = 'another'\n", "words.py")
        says(chute, "another one")


@pytest.mark.slow
def test_many_saves_at_once_end_with_the_last(local, program):
    with local("yes") as chute:
        for n in range(20):
            program.write(f"WORD = 'word {n}'\n", "words.py")
            time.sleep(0.03)
        says(chute, "word 19 one")
        time.sleep(0.5)
        assert say(chute) == "word 19 one"
