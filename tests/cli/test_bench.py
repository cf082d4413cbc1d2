"""`chutes bench` from end to end: what it prints, and its exit status."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from chutes.cli import application
from support.http_servers import ScriptedServer, asgi_server, http_answer, unused_address, wait_until
from support.remote_chute import remote_chute

CHUTE = """
import asyncio
from chutes import Chute

chute = Chute(username="me", name="loaded", image="python:3.11", concurrency=4)


@chute.on_startup()
async def begin(self):
    self.calls = 0


@chute.cord("/uneven")
async def uneven(self, text: str) -> int:
    self.calls += 1
    await asyncio.sleep(0.3 if self.calls % 10 == 0 else 0.03)
    return len(text)


@chute.cord("/secret")
async def secret(self) -> str:
    return "kept"
"""


@pytest.fixture(scope="module")
def served():
    app = remote_chute()
    with asgi_server(app) as address:
        yield app, address


@pytest.fixture
def url(served):
    return served[1]


@pytest.fixture
def bench(monkeypatch):
    """Runs `chutes bench` with these words."""
    monkeypatch.setenv("COLUMNS", "90")

    def run(*words, **options):
        return CliRunner().invoke(application(), ["bench", *map(str, words)], **options)

    return run


def document(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def start(*words, **options):
    command = [sys.executable, "-m", "chutes", "bench", *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"}, **options)


def test_it_shows_throughput_latency_and_a_histogram(bench, url):
    result = bench(f"{url}/embed", "text=hello", "-c", 2, "-n", 50)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"POST {url}/embed\n\nload         2 clients for ")
    assert "requests     50: all good\n" in result.stdout
    assert re.search(r"^latency      p50 .* p90 .* p95 .* p99 .* p99.9 ", result.stdout, re.MULTILINE)
    assert "statuses     200: 50\n" in result.stdout
    bars = re.findall(r"^ *up to .* (\d+)$", result.stdout, re.MULTILINE)
    assert sum(map(int, bars)) == 50
    assert max(map(len, result.stdout.splitlines())) <= 90


def test_the_document_has_everything(bench, url):
    found = document(bench(f"{url}/embed", "text=hello", "-c", "1,2", "-n", 20, "--json"))

    assert (found["method"], found["url"], found["inputs"]) == ("POST", f"{url}/embed", 1)
    assert [(run["clients"], run["requests"], run["good"], run["failed"]) for run in found["runs"]] == [
        (1, 20, 20, 0),
        (2, 20, 20, 0),
    ]
    assert found["runs"][0]["statuses"] == {"200": 20}
    assert 0 < found["runs"][0]["latency"]["p50"] <= found["runs"][0]["latency"]["max"]
    assert found["saturation"]["clients"] in {1, 2}


def test_several_numbers_of_clients_are_rows_and_a_sentence(bench, url):
    result = bench(f"{url}/embed", "text=hello", "-c", "1,2,4", "-n", 40)

    assert result.exit_code == 0, result.output
    titles, *rows = result.stdout.splitlines()[2:6]
    assert titles.split() == ["clients", "req/s", "p50", "p90", "p99", "failed", "refused"]
    assert [line.split()[0] for line in rows] == ["1", "2", "4"]
    assert "\nThroughput " in result.stdout


def test_inputs_are_sent_in_turn_and_the_method_is_looked_up(bench, url, tmp_path):
    (tmp_path / "inputs.jsonl").write_text('{"limit": 1}\n{"limit": 2}\n')
    result = bench("/stats", "tag=a", "--url", url, "--inputs", tmp_path / "inputs.jsonl", "-n", 8, "-c", 2)

    assert result.exit_code == 0, result.output
    assert f"GET {url}/stats, 2 inputs in turn" in result.stdout
    assert "requests     8: all good" in result.stdout


def test_streams_show_their_chunks(bench, url):
    result = bench(f"{url}/tokens", "prompt=to be or", "-n", 10, "-c", 2)

    assert result.exit_code == 0, result.output
    assert "chunks       30, " in result.stdout
    assert "first chunk  p50 " in result.stdout


def test_failures_are_shown_and_nothing_good_is_exit_1(bench, url):
    result = bench(f"{url}/failing", "-n", 4, "-c", 1, "--method", "POST", "-H", "X-Request-ID: r1")

    assert result.exit_code == 1
    assert "4 x error in the stream: Internal Server Error" in result.stdout


def test_a_server_error_is_loaded_all_the_same(bench, url):
    result = bench(f"{url}/broken", "-n", 4, "-c", 1, "-H", "X-Request-ID: r1")

    assert result.exit_code == 1
    assert "statuses     500: 4" in result.stdout
    assert "4 x 500: Internal Server Error" in result.stdout


def test_answers_that_break_off_are_failures(bench):
    cut = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    server = ScriptedServer([http_answer(404), cut])
    try:
        result = bench(f"{server.url}/story", "-n", 3, "-c", 1, "--warmup", 0)
    finally:
        server.close()

    assert result.exit_code == 1, result.output
    assert "3 x broke off: the connection was closed before the answer was whole" in result.stdout


def test_arguments_that_the_chute_rejects_are_no_load(bench, url):
    result = bench(f"{url}/search", "limit:=3")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "query: Field required" in result.stderr


def test_no_connection_is_exit_1(bench):
    with unused_address() as nowhere:
        result = bench(f"{nowhere}/embed")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "Is the chute running" in result.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-c", "many"], "--clients"),
        (["text"], "Invalid argument 'text'"),
        (["-d", "soon"], "--duration"),
        (["--inputs", "nowhere.jsonl"], "nowhere.jsonl"),
        (["-H", "nonsense"], "Invalid header"),
        (["--arrivals", "often"], "often"),
        (["--data", "[1]", "text=a"], "whole body"),
    ],
)
def test_bad_usage_is_exit_2(bench, url, words, text):
    result = bench(f"{url}/embed", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr


def test_an_address_without_a_path_is_bad_usage(bench, url):
    result = bench(url)
    assert result.exit_code == 2
    assert "names no cord" in result.stderr


def test_the_key_is_sent_from_the_option_or_the_environment(shell):
    shell.write("app.py", CHUTE)
    shell.environ["CHUTES_API_KEYS"] = "open-sesame"
    with shell.serving("run", "app.py", "--port", 0) as server:
        words = ("bench", f"{server.url}/secret", "-n", 10, "-c", 2)
        with_option = shell.run(*words, "--key", "open-sesame", "--json")
        shell.environ["CHUTES_API_KEY"] = "open-sesame"
        with_variable = shell.run(*words)
        shell.environ["CHUTES_API_KEY"] = "wrong"
        with_a_wrong_one = shell.run(*words)

    assert with_option[0] == 0, with_option[2]
    run = json.loads(with_option[1])["runs"][0]
    assert (run["good"], run["server"]["concurrency"]) == (10, 4)
    assert with_variable[0] == 0, with_variable[2]
    assert with_a_wrong_one[0] == 1
    assert "401" in with_a_wrong_one[2]


def test_known_delays_have_the_right_percentiles(shell):
    shell.write("app.py", CHUTE)
    with shell.serving("run", "app.py", "--port", 0) as server:
        code, out, err = shell.run("bench", f"{server.url}/uneven", "text=a", "-c", 4, "-n", 100, "--json")

    assert code == 0, err
    latency = json.loads(out)["runs"][0]["latency"]
    # Timers may be early by a millisecond or two, and a busy machine late by any time.
    assert latency["count"] == 100
    assert latency["min"] >= 0.028
    assert latency["p95"] >= 0.298
    assert latency["p50"] < latency["p95"]
    assert json.loads(out)["runs"][0]["per_second"] <= 4 / 0.04


def test_ctrl_c_shows_what_was_measured(served):
    app, url = served
    app.state.seen.clear()
    process = start(
        f"{url}/embed",
        "text=hello",
        "-c",
        2,
        "-d",
        "60s",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            head = process.stdout.readline()
            # More than the first call and those of the warm-up.
            wait_until(lambda: len(app.state.seen) > 50)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()

    assert head == f"POST {url}/embed\n"
    assert process.returncode == 0, err
    assert ", interrupted\n" in out
    assert "all good" in out


def test_a_terminal_shows_how_far_it_is(url):
    ours, theirs = pty.openpty()
    process = start(f"{url}/embed", "text=hello", "-c", 2, "-d", "2s", stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        process.communicate(timeout=60)
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        # Linux says EIO when the last process that had the terminal open has ended.
        pass
    finally:
        os.close(ours)

    assert re.search(r"\d s: \d+ answers, \d+ of them good", shown.decode())
