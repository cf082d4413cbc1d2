"""A chute whose code blocks the event loop: its probes are answered, and its log says what blocks."""

import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from support.chute_process import SECONDS, reserved_port

HOLDING = """
import time
from pathlib import Path
from chutes import Chute

chute = Chute(username="me", name="blind", image="python:3.11", concurrency=2, stall_limit={limit})

def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.02)

@chute.on_startup()
async def load(self):
    if {hooks_block}:
        wait_for("loaded")

@chute.on_shutdown()
async def save(self):
    if {hooks_block}:
        wait_for("saved")

@chute.cord("/hold")
async def hold(self):
    wait_for("released")
    return "held"

if __name__ == "__main__":
    chute.run_local(host="127.0.0.1", port=0, reload=False)
"""


def get(url, path):
    return httpx2.get(url + path, timeout=SECONDS, trust_env=False)


def status(url, path):
    return get(url, path).status_code


def probe_url(chute):
    chute.wait_until(lambda: any("probe_url" in line for line in chute.lines))
    return next(line["probe_url"] for line in chute.lines if "probe_url" in line)


def told_of(chute, text, level="warning"):
    """The log lines of this level that say so; a slow machine may stand still at other times, too."""
    return [line for line in chute.lines if line["level"] == level and text in line["message"]]


def refused(url):
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_blocked_loop_is_told_counted_and_ends_livez_until_it_runs_again(program):
    program.write(HOLDING.format(limit=1.5, hooks_block=False))
    identity = {"X-Request-ID": "the-blocking-one"}
    with program.start("app.py", "--port", 0, "--probe-port", 0) as chute, ThreadPoolExecutor() as callers:
        probes, url = probe_url(chute), chute.url
        assert any(f"probes on {probes}" in message for message in chute.messages)
        assert status(probes, "/readyz") == 200
        chute.wait_until(lambda: status(probes, "/livez") == 200)
        call = callers.submit(httpx2.post, url + "/hold", headers=identity, timeout=SECONDS, trust_env=False)
        chute.wait_until(lambda: status(probes, "/livez") == 503)
        assert status(probes, "/readyz") == 200
        assert re.search(r"^chutes_loop_stalls_total [1-9]", get(probes, "/metrics").text, re.MULTILINE)
        assert get(probes, "/livez").json()["detail"].startswith("The event loop has been blocked for")
        chute.wait_until(lambda: told_of(chute, "in hold"))
        assert not call.done()
        (program.folder / "released").touch()
        assert call.result().json() == "held"
        chute.wait_until(lambda: status(probes, "/livez") == 200)
        chute.wait_until(lambda: told_of(chute, "The event loop runs again", level="info"))
        chute.wait_until(lambda: status(url, "/livez") == 200)
        assert chute.stop() == 0
    (warning,) = told_of(chute, "in hold")
    assert warning["request_id"] == "the-blocking-one"
    frames = [line.strip() for line in warning["message"].splitlines() if line.startswith("  File")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["hold", "wait_for"]
    assert all('app.py", line ' in frame for frame in frames)
    assert 'wait_for("released")' in warning["message"]
    assert refused(probes)


def test_the_probe_port_answers_from_the_first_hook_to_the_end_of_the_last(program):
    program.write(HOLDING.format(limit=0.3, hooks_block=True))
    with program.start("app.py", "--port", 0, "--probe-port", 0) as chute:
        probes = probe_url(chute)
        chute.wait_until_it_says("The chute starts, and blocks its event loop")
        starting = get(probes, "/readyz")
        assert (starting.status_code, starting.json()) == (503, {"status": "starting"})
        assert status(probes, "/livez") == 200
        (program.folder / "loaded").touch()
        assert chute.url
        assert status(probes, "/readyz") == 200
        chute.send(signal.SIGTERM)
        chute.wait_until(lambda: get(probes, "/readyz").json() == {"status": "stopped"})
        assert (status(probes, "/readyz"), status(probes, "/livez")) == (503, 200)
        (program.folder / "saved").touch()
        assert chute.wait() == 0
    assert len(told_of(chute, "in load", level="info")) == 1
    assert not [line for line in chute.lines if "in wait_for" in line["message"] and line["level"] != "info"]
    assert refused(probes)


def test_reload_serves_the_probe_port_anew(program):
    source = HOLDING.format(limit=0, hooks_block=False)
    program.write(source)
    with (
        reserved_port() as port,
        program.start("app.py", "--port", 0, "--probe-port", port, "--reload") as chute,
    ):
        assert chute.url
        assert probe_url(chute) == f"http://127.0.0.1:{port}"
        assert 'cord="hold"' in get(probe_url(chute), "/metrics").text
        program.write(source.replace("async def hold(", "async def held("))
        chute.wait_until(lambda: chute.text.count("is ready on") == 2)
        assert 'cord="held"' in get(probe_url(chute), "/metrics").text


def test_run_local_takes_the_port_from_the_environment(program):
    program.write(HOLDING.format(limit=0, hooks_block=False))
    with program.start("app.py", program=(), CHUTES_PROBE_PORT="0") as chute:
        assert status(probe_url(chute), "/livez") == 200


@pytest.mark.parametrize("taken", ["probe", "both"])
def test_a_probe_port_that_is_taken_ends_the_process_with_one_line(program, taken):
    program.write(HOLDING.format(limit=0, hooks_block=False))
    with socket.socket() as other, reserved_port() as free:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1] if taken == "probe" else free
        with program.start("app.py", "--port", free, "--probe-port", port) as chute:
            assert chute.wait() == 2
    assert f"Port {port} on 127.0.0.1 is taken." in chute.text
    assert "`--probe-port " in chute.text


WARMING = """
import time
from pathlib import Path
from chutes import Chute

chute = Chute(username="me", name="warm", image="python:3.11")

@chute.on_shutdown()
async def release(self):
    Path("ended").touch()

@chute.cord("/generate", minimal_input_schema={"prompt": "hello"})
async def generate(self, prompt: str):
    while not Path("compiled").exists():
        time.sleep(0.02)
    return infer(prompt)

def infer(prompt):
    if Path("broken").exists():
        raise MemoryError("out of memory")
    return prompt.upper()
"""


def test_a_chute_is_ready_once_its_warmup_call_is_answered(program):
    program.write(WARMING)
    with program.start("app.py", "--port", 0, "--probe-port", 0, CHUTES_API_KEYS="open-sesame") as chute:
        probes = probe_url(chute)
        chute.wait_until_it_says("The chute starts, and blocks its event loop")
        assert (status(probes, "/livez"), status(probes, "/readyz")) == (200, 503)
        assert not any("is ready on" in message for message in chute.messages)
        (program.folder / "compiled").touch()
        url = chute.url
        assert (status(probes, "/readyz"), status(url, "/readyz")) == (200, 200)
        assert 'chutes_requests_total{cord="generate"' not in get(probes, "/metrics").text
        assert chute.stop() == 0
    told = [message for message in chute.messages if "Warmed up cord 'generate' in" in message]
    assert len(told) == 1
    assert told_of(chute, "in generate", level="info")
    assert not told_of(chute, "in generate")


@pytest.mark.parametrize("words", [("app.py", "--port", 0), ("-m", "uvicorn", "app:chute", "--port", "0")])
def test_a_warmup_call_that_fails_ends_the_process_with_the_users_traceback(program, words):
    program.write(WARMING)
    for name in ("compiled", "broken"):
        (program.folder / name).touch()
    ours = words[0] == "app.py"
    started = program.start(*words) if ours else program.start(*words, program=())
    with started as chute:
        code = chute.wait()
    assert code == 1 if ours else code != 0
    assert "The warm-up call of cord 'generate' failed: MemoryError: out of memory." in chute.text
    assert ", in infer\n" in chute.text
    assert "is ready on" not in chute.text
    assert (program.folder / "ended").exists()
