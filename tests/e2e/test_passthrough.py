"""Passthrough cords as their users serve them: `chutes run`, and a server beside it."""

import signal

from support.chute_process import chute_process, reserved_port
from support.http_servers import wait_until
from support.upstream import upstream

FILE = """
from chutes.chute import Chute

chute = Chute(username="me", name="front", image="python:3.12", concurrency=4)


@chute.cord("/slow", stream=True, passthrough=True, passthrough_port={port})
async def slow(self): ...


@chute.cord("/run", passthrough=True, passthrough_port={port})
async def run(self): ...
"""


def test_calls_are_forwarded_and_a_stop_lets_a_stream_end_in_time(tmp_path):
    with upstream() as other:
        file = tmp_path / "front.py"
        file.write_text(FILE.format(port=other.port))
        words = (file, "--port", "0")
        with chute_process(*words, folder=tmp_path, log=tmp_path / "log") as chute:
            with chute.client() as client:
                seen = client.post("/run?a=1", json={"b": 2}).json()
                assert (seen["method"], seen["path"], seen["query"]) == ("POST", "/run", "a=1")
                # A server that is left in mid-stream loses its client.
                with client.stream("POST", "/slow") as response:
                    parts = response.iter_raw()
                    assert next(parts).startswith(b"data: 1")
                chute.wait_until(lambda: other.left == 1)
            assert chute.stop() == 0
            assert not [line for line in chute.lines if line["level"] == "error"]


def test_a_chute_that_is_killed_in_mid_stream_leaves_its_upstream(tmp_path):
    with upstream() as other:
        file = tmp_path / "front.py"
        file.write_text(FILE.format(port=other.port))
        words = (file, "--port", "0")
        process = chute_process(*words, folder=tmp_path, log=tmp_path / "log")
        with process as chute, chute.client() as client, client.stream("POST", "/slow") as response:
            parts = response.iter_raw()
            next(parts)
            chute.stop(signal.SIGKILL)
        wait_until(lambda: other.left == 1)


def test_a_cord_that_forwards_to_the_chute_itself_is_refused_at_the_start(tmp_path):
    with reserved_port() as port:
        file = tmp_path / "front.py"
        file.write_text(FILE.format(port=port))
        with chute_process(file, "--port", port, folder=tmp_path, log=tmp_path / "log") as chute:
            assert chute.wait() != 0
            assert f"'slow' forwards to port {port}, on which the chute itself listens" in chute.text
            assert "Traceback" not in chute.text
