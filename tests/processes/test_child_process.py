"""A child process of this machine: start, output, descriptors, stop and exit code."""

import asyncio
import gc
import math
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import uvloop

from chutes.errors import ProcessError
from chutes.processes import Command, LineMatches, LocalLauncher, LocalProcess
from support.child_processes import becomes_true, is_alive

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def python(code: str, **options) -> Command:
    return Command(argv=(sys.executable, "-c", code), name="probe", **options)


async def run(command: Command) -> tuple[int, list[str]]:
    lines = []
    process = await LocalLauncher().launch(command, lines.append)
    return await process.wait(), lines


async def launch_ready(command: Command) -> LocalProcess:
    process = await LocalLauncher().launch(command)
    await process.wait_ready()
    return process


@pytest.mark.parametrize("code", [0, 3, 255])
async def test_the_exit_status_of_the_program_is_reported(code):
    assert await run(python(f"raise SystemExit({code})")) == (code, [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
async def test_a_program_that_a_signal_ended_shows_its_number(number):
    process = await LocalLauncher().launch(python("import time; time.sleep(60)"))
    os.kill(process.pid, number)
    assert await process.wait() == process.exit_code == -number


async def test_the_exit_code_is_unknown_while_the_program_runs():
    process = await LocalLauncher().launch(python("import time; time.sleep(60)"))
    assert process.exit_code is None
    await process.stop(grace=0)
    assert process.exit_code == -signal.SIGKILL


async def test_lines_of_output_and_errors_come_in_the_order_in_which_they_were_written():
    code = "import os; [os.write(1 + n % 2, f'line {n}\\n'.encode()) for n in range(6)]"
    assert await run(python(code)) == (0, [f"line {n}" for n in range(6)])


async def test_the_last_line_needs_no_line_end():
    assert await run(python("print('a'); print('b', end='')")) == (0, ["a", "b"])


async def test_lines_go_to_the_log_when_nobody_else_takes_them(caplog):
    with caplog.at_level("INFO", "chutes.processes"):
        process = await LocalLauncher().launch(python("print('hello')"))
        await process.wait()
    assert "[probe] hello" in caplog.messages
    assert process.tail() == ("hello",)


async def test_a_flood_of_output_arrives_whole_while_other_tasks_go_on():
    turns = 0

    async def other_work():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(other_work())
    code, lines = await run(
        python("import sys; [sys.stdout.write('x' * 99 + '\\n') for _ in range(100_000)]")
    )
    other.cancel()
    assert (code, len(lines)) == (0, 100_000)
    assert turns > 50


async def test_the_environment_gains_and_loses_variables(monkeypatch):
    monkeypatch.setenv("PROBE_OLD", "1")
    monkeypatch.setenv("PROBE_KEPT", "2")
    code = "import os; print(*(os.environ.get(f'PROBE_{n}') for n in ('OLD', 'KEPT', 'NEW')))"
    _, lines = await run(python(code, env={"PROBE_OLD": None, "PROBE_NEW": "3"}))
    assert lines == ["None 2 3"]


async def test_programs_in_the_folders_of_its_path_come_first(tmp_path):
    program = tmp_path / "echo"
    program.write_text("#!/bin/sh\nprintf 'ours\\n'\n")
    program.chmod(0o755)
    _, lines = await run(
        Command(argv=["sh", "-c", "command -v echo; env echo other"], name="probe", path=[tmp_path])
    )
    assert lines[-1] == "ours"


async def test_the_program_runs_in_its_working_directory(tmp_path):
    _, lines = await run(python("import os; print(os.getcwd())", cwd=tmp_path))
    assert lines == [str(tmp_path)]


async def test_the_program_has_its_signals_as_python_found_them():
    _, lines = await run(Command(argv=["sh", "-c", "kill -PIPE $$; echo ignored"], name="probe"))
    assert lines == []


async def test_reading_from_the_standard_input_finds_its_end():
    assert await run(python("import sys; print(repr(sys.stdin.read()))")) == (0, ["''"])


async def test_only_the_named_descriptors_are_inherited():
    listener = socket.create_server(("127.0.0.1", 0))
    other = socket.create_server(("127.0.0.1", 0))
    code = f"""
import os, socket
print(socket.socket(fileno={listener.fileno()}).getsockname()[1])
try:
    os.fstat({other.fileno()})
except OSError:
    print('closed')
"""
    with listener, other:
        _, lines = await run(python(code, inherited_fds=[listener.fileno()]))
        assert lines == [str(listener.getsockname()[1]), "closed"]


async def test_a_socket_that_was_handed_on_is_closed_when_the_program_closes_it():
    """Nothing between us and the program holds it open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        code = f"import os, time; os.close({listener.fileno()}); print('closed', flush=True); time.sleep(60)"
        command = python(code, inherited_fds=[listener.fileno()], ready=LineMatches(pattern="closed"))
        process = await launch_ready(command)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    await process.stop(grace=0)


def test_inherited_output_is_written_to_our_own_without_a_detour(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text("""
import asyncio, sys
from chutes.processes import Command, LocalLauncher

async def main():
    code = "import sys; print('out'); print('err', file=sys.stderr); print(sys.stdin.read())"
    command = Command(argv=[sys.executable, "-c", code], name="probe", inherit_output=True)
    process = await LocalLauncher().launch(command)
    await process.wait()
    assert process.tail() == ()

asyncio.run(main())
""")
    done = subprocess.run([sys.executable, script], input="in", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("out\nin\n", "err\n")


async def test_a_program_that_does_not_exist_is_refused_by_name():
    with pytest.raises(ProcessError, match=r"Cannot start engine: 'no-such-engine': No such file"):
        await LocalLauncher().launch(Command(argv=["no-such-engine"], name="engine"))


async def test_a_file_that_may_not_be_run_is_refused(tmp_path):
    (tmp_path / "engine").write_text("#!/bin/sh\n")
    with pytest.raises(ProcessError, match="Permission denied"):
        await LocalLauncher().launch(Command(argv=[str(tmp_path / "engine")], name="engine"))


async def test_a_folder_that_does_not_exist_is_refused_by_name(tmp_path):
    with pytest.raises(ProcessError, match="nowhere"):
        await LocalLauncher().launch(python("", cwd=tmp_path / "nowhere"))


async def test_stop_asks_with_the_chosen_signal():
    code = "import signal, time; signal.signal(signal.SIGINT, lambda *_: exit(7)); print('up', flush=True); time.sleep(60)"
    process = await launch_ready(python(code, stop_signal=signal.SIGINT, ready=LineMatches(pattern="up")))
    assert await process.stop() == 7


async def test_a_program_that_ignores_the_signal_is_killed_after_the_grace(caplog):
    process = await launch_ready(python(DEAF, ready=LineMatches(pattern="deaf")))
    begin = time.monotonic()
    assert await process.stop(grace=0.3) == -signal.SIGKILL
    assert 0.3 <= time.monotonic() - begin < 5
    assert "probe did not end within 0.3 s: killed." in caplog.messages


async def test_a_second_stop_kills_at_once_while_the_first_waits():
    process = await launch_ready(python(DEAF, ready=LineMatches(pattern="deaf")))
    first = asyncio.create_task(process.stop(grace=math.inf))
    await asyncio.sleep(0.1)
    assert not first.done()
    assert await process.stop(grace=0) == await first == -signal.SIGKILL


async def test_two_stops_send_one_signal():
    code = """
import signal, time
count = 0
def take(*_):
    global count
    count += 1
signal.signal(signal.SIGTERM, take)
print('up', flush=True)
while not count:
    time.sleep(0.01)
time.sleep(0.3)
exit(count)
"""
    process = await launch_ready(python(code, ready=LineMatches(pattern="up")))
    assert await asyncio.gather(process.stop(), process.stop()) == [1, 1]


async def test_stop_of_an_ended_program_returns_its_exit_code():
    process = await LocalLauncher().launch(python("exit(4)"))
    await process.wait()
    assert await process.stop() == 4


WORKER = """
import signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
signal.signal(signal.SIGTERM, lambda *_: None)
print('up', flush=True)
try:
    worker.wait(1)
except subprocess.TimeoutExpired:
    exit(5)
exit(6)
"""


@pytest.mark.parametrize(("signal_group", "code"), [(True, 6), (False, 5)])
async def test_the_stop_signal_reaches_the_group_or_the_program_alone(signal_group, code):
    process = await launch_ready(python(WORKER, ready=LineMatches(pattern="up"), signal_group=signal_group))
    assert await process.stop() == code


async def test_what_a_program_leaves_behind_ends_with_it():
    leave = "sleep 60 & echo $!; setsid sleep 60 & echo $!; (setsid sleep 60 & echo $!)"
    code, lines = await run(Command(argv=["sh", "-c", f"{leave}; exit 2"], name="probe"))
    assert code == 2
    assert len(lines) == 3
    assert not any(is_alive(int(pid)) for pid in lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_to_the_reaper_is_passed_on(number):
    process = await LocalLauncher().launch(python("import time; time.sleep(60)"))
    os.kill(parent_of(process.pid), number)
    assert await process.wait() == -number


async def test_a_killed_reaper_takes_the_program_and_its_group_with_it():
    process = await LocalLauncher().launch(
        Command(argv=["sh", "-c", "sleep 60 & echo $!; wait"], name="probe")
    )
    await becomes_true(process.tail)
    os.kill(parent_of(process.pid), signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    await becomes_true(lambda: not is_alive(process.pid) and not is_alive(int(process.tail()[0])))


async def test_a_stopped_program_is_killed_too():
    process = await launch_ready(python(DEAF, ready=LineMatches(pattern="deaf")))
    os.kill(process.pid, signal.SIGSTOP)
    assert await process.stop(grace=0.2) == -signal.SIGKILL


async def test_the_program_has_a_session_of_its_own():
    """A terminal's Ctrl-C reaches its foreground group: the program is in another."""
    process = await LocalLauncher().launch(python("import time; time.sleep(60)"))
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
    await process.stop(grace=0)


async def test_a_cancelled_launch_leaves_no_process(tmp_path):
    for delay in (0, 0.001, 0.005, 0.01, 0.015, 0.02):
        mark = tmp_path / f"after-{delay}"
        command = Command(argv=["sh", "-c", f"echo $$ > {mark}; exec sleep 60"], name="probe")
        launch = asyncio.create_task(LocalLauncher().launch(command))
        await asyncio.sleep(delay)
        if launch.cancel():
            with pytest.raises(asyncio.CancelledError):
                await launch
        else:
            await (await launch).stop(grace=0)
        # One that was killed before it had written anything has an empty mark.
        pid = mark.read_text() if mark.exists() else ""
        assert not pid or not is_alive(int(pid))


@pytest.mark.parametrize("turns", [1, 2, 4, 6, 7, 8, 10, 12])
def test_a_launch_that_is_cancelled_midway_loses_no_handle(turns):
    async def scenario() -> None:
        launch = asyncio.create_task(LocalLauncher().launch(python("import time; time.sleep(60)")))
        for _ in range(turns):
            await asyncio.sleep(0)
        if launch.cancel():
            with pytest.raises(asyncio.CancelledError):
                await launch
        else:
            await (await launch).stop(grace=0)

    gc.collect()  # what other tests have left tells nothing of this one
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(scenario())
        gc.collect()
    assert not [warning for warning in warned if "subprocess" in str(warning.message).lower()]


def test_everything_works_on_uvloop_as_well():
    async def scenario() -> tuple[int, int, list[str]]:
        lines = []
        ended = await LocalLauncher().launch(python("print('a'); exit(3)"), lines.append)
        stopped = await launch_ready(python(DEAF, ready=LineMatches(pattern="deaf")))
        return await ended.wait(), await stopped.stop(grace=0.1), lines

    assert uvloop.run(scenario()) == (3, -signal.SIGKILL, ["a"])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
