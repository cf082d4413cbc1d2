import os
import subprocess
import sys

import pytest

from benchmarks import machine


def test_waiting_and_idling_are_no_work():
    ticks = os.sysconf("SC_CLK_TCK")
    text = (
        f"cpu {1 * ticks} {2 * ticks} {4 * ticks} 1000 2000 {8 * ticks} {16 * ticks} {32 * ticks} 0 0\ncpu0 9"
    )
    assert machine.busy_seconds(text) == 63


def test_a_process_and_what_it_starts_are_found_by_their_mark():
    mark = f"mark-{os.getpid()}-{os.urandom(8).hex()}"
    # The outer process waits for the inner one, and both for our end of the pipe.
    inner = "import sys; print('up', flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer],
        env={**os.environ, "BENCHMARK_MARK": mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"up\n"
        found = machine.marked(mark)
        resident, proportional = machine.memory(found)
        assert process.pid in found
        assert len(found) == 2
        assert resident >= proportional > 0
        assert machine.cpu_seconds(found) >= 0
        process.stdin.close()
    assert machine.marked(mark) == []


def test_a_process_that_has_ended_used_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert machine.cpu_seconds([process.pid]) == 0
    assert machine.memory([process.pid]) == (0, 0)


def test_one_core_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3})
    with pytest.raises(RuntimeError, match="two cores"):
        machine.cores()
