"""The fake child process keeps the promises of the real one."""

import sys

import pytest

from chutes.errors import ProcessError
from chutes.processes import Command, Launcher, LocalLauncher, Process
from chutes.processes.fake import FakeLauncher

COMMAND = Command(argv=[sys.executable, "-c", "import time; time.sleep(60)"], name="probe")


@pytest.mark.parametrize("make", [FakeLauncher, LocalLauncher])
async def test_real_and_fake_agree_on_start_and_stop(make):
    launcher: Launcher = make()
    process: Process = await launcher.launch(COMMAND)
    assert process.exit_code is None
    await process.wait_ready()
    assert await process.stop() == await process.wait() == process.exit_code == -15
    assert await process.stop(grace=0) == -15


async def test_it_prints_what_the_test_writes():
    lines = []
    process = await FakeLauncher().launch(COMMAND, lines.append)
    process.write("hello")
    assert process.tail() == ("hello",)
    assert lines == ["hello"]


async def test_it_fails_to_get_ready_when_it_ends_first():
    process = await FakeLauncher(ready=False).launch(COMMAND)
    process.end(3)
    with pytest.raises(ProcessError, match="exit code 3"):
        await process.wait_ready()


async def test_a_stubborn_one_ends_by_the_kill_alone():
    process = await FakeLauncher().launch(COMMAND)
    process.stubborn = True
    assert await process.stop(grace=0.01) == -9
    assert process.stops == [0.01]
