"""A cluster ends its own processes and no others."""

import os
import subprocess
import sys

import pytest

from chutes.deploy.cluster.own_processes import MARK, end, is_running, members, started_at
from chutes.deploy.cluster.state import StartedNode
from support.child_processes import is_alive, wait_until

PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"


@pytest.fixture
def start():
    """Starts a process with a child of its own; both end with the test."""
    started = []

    def run(mark):
        process = subprocess.Popen([sys.executable, "-c", PARENT], env=os.environ | {MARK: mark})
        node = StartedNode(name="head", pid=process.pid, started_at=started_at(process.pid))
        started.append((process, mark, node))
        wait_until(lambda: len(members(mark, [node])) == 2, 30)
        return process, node

    yield run
    for process, mark, node in started:
        end(mark, [node], grace=0)
        process.wait()


def test_a_node_and_what_it_started_end(start):
    process, node = start("mark-of-one")
    other, _ = start("mark-of-another")
    everyone = members("mark-of-one", [node])

    end("mark-of-one", [node], grace=10)

    process.wait()
    assert not any(map(is_alive, everyone))
    assert is_alive(other.pid)


def test_the_mark_finds_what_lost_its_parent(start):
    process, node = start("mark-of-a-family")
    process.kill()
    process.wait()
    assert not is_running(node)
    if sys.platform == "linux":
        assert len(members("mark-of-a-family", [node])) == 1


def test_another_process_of_the_same_number_is_left_alone(start):
    process, node = start("mark-of-now")
    before = StartedNode(name="head", pid=node.pid, started_at="another start")
    assert not is_running(before)

    end("mark-of-long-ago", [before], grace=0)

    assert is_alive(process.pid)


def test_a_process_that_has_ended_has_no_start():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not started_at(process.pid)
