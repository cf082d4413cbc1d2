"""No process is left when the parent dies, however it dies and whatever its children did."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chutes.processes import reaper
from support.child_processes import is_alive, wait_until_gone

# A program, its child, a child in a session of its own, and a daemon whose parent is gone; all ignore polite signals.
TREE = """
trap '' TERM HUP INT
sleep 60 & echo $!
setsid sleep 60 & echo $!
(setsid sh -c 'trap "" TERM HUP INT; sleep 60 & echo $!; echo $$; wait' &)
echo $$
wait
"""
PIDS = 5
PARENT = f"""
import asyncio, os, sys, time
from chutes.processes import Command, LocalLauncher

TREE = {TREE!r}

async def main(then):
    process = await LocalLauncher().launch(Command(argv=["sh", "-c", TREE], name="tree"), print_line)
    while len(process.tail()) < {PIDS}:
        await asyncio.sleep(0.01)
    with open(f"/proc/{{process.pid}}/stat") as stat:
        print(stat.read().rpartition(")")[2].split()[1], flush=True)
    print(process.pid, flush=True)
    await then()

def print_line(line):
    print(line, flush=True)

async def sleep():
    await asyncio.sleep(60)

async def block():
    time.sleep(60)

async def leave():
    os._exit(0)

async def become_another():
    os.execvp("sleep", ["sleep", "60"])

async def fork_then_sleep():
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    await sleep()

asyncio.run(main(globals()[sys.argv[1]]))
"""


@contextmanager
def parent(then: str, lines: int = PIDS + 2) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    with subprocess.Popen([sys.executable, "-c", PARENT, then], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, [int(process.stdout.readline()) for _ in range(lines)]
        finally:
            process.kill()


@pytest.mark.parametrize("then", ["sleep", "block"])
def test_a_killed_parent_leaves_none_of_the_tree(then):
    with parent(then) as (process, pids):
        assert all(map(is_alive, pids))
        process.kill()
        wait_until_gone(pids)


@pytest.mark.parametrize("then", ["leave", "become_another"])
def test_a_parent_that_goes_without_a_word_leaves_none_of_the_tree(then):
    with parent(then) as (_, pids):
        wait_until_gone(pids)


def test_a_fork_of_the_parent_does_not_keep_the_tree_alive():
    with parent("fork_then_sleep", PIDS + 3) as (process, pids):
        copy = pids.pop()
        process.kill()
        try:
            wait_until_gone(pids)
            assert is_alive(copy)
        finally:
            os.kill(copy, signal.SIGKILL)


def test_a_killed_reaper_takes_the_program_with_it_even_while_the_parent_can_do_nothing():
    with parent("sleep") as (process, pids):
        above, program = pids[-2:]
        process.send_signal(signal.SIGSTOP)
        os.kill(above, signal.SIGKILL)
        try:
            wait_until_gone([program])
        finally:
            for pid in filter(is_alive, pids):
                os.kill(pid, signal.SIGKILL)


def test_a_tree_that_cannot_be_listed_by_proc_is_listed_by_ps():
    assert (os.getpid(), os.getppid()) in reaper._process_table_of_ps()
    assert (os.getpid(), os.getppid()) in reaper._process_table()
