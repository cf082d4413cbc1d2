"""A supervised process is started again, later each time, and its state can be asked at any moment."""

import asyncio
import sys

import pytest

from chutes.errors import ProcessError
from chutes.processes import Command, LineMatches, RestartPolicy, State, Supervisor
from chutes.processes.fake import FakeLauncher
from support.child_processes import becomes_true

COMMAND = Command(argv=["engine"], name="engine", start_timeout=5)
QUICK = RestartPolicy(first_delay=0.01, longest_delay=0.04)
SLOW = RestartPolicy(first_delay=30)


async def test_it_is_starting_and_then_ready():
    launcher = FakeLauncher(ready=False)
    async with Supervisor(COMMAND, launcher=launcher) as supervisor:
        process = await launcher.nth(1)
        assert supervisor.status.state is State.STARTING
        process.become_ready()
        await supervisor.wait_ready()
        assert supervisor.status.state is State.READY
        assert supervisor.process is process


async def test_a_process_that_ends_is_started_again():
    launcher = FakeLauncher()
    async with Supervisor(COMMAND, policy=QUICK, launcher=launcher) as supervisor:
        (await launcher.nth(1)).end(0)
        await launcher.nth(2)
        await supervisor.wait_ready()
        assert supervisor.status.failures == 1


async def test_while_it_backs_off_it_says_until_when_and_why():
    launcher = FakeLauncher()
    async with Supervisor(COMMAND, policy=SLOW, launcher=launcher) as supervisor:
        (await launcher.nth(1)).end(-9)
        await becomes_true(lambda: supervisor.status.state is State.BACKING_OFF)
        assert supervisor.status.error == "engine ended with signal 9."
        assert supervisor.status.next_start is not None
        assert 20 < supervisor.retry_after() <= 30
    assert len(launcher.launched) == 1


async def test_a_retry_after_is_at_least_a_second():
    launcher = FakeLauncher(ready=False)
    async with Supervisor(COMMAND, policy=QUICK, launcher=launcher) as supervisor:
        assert supervisor.retry_after() == 1


async def test_a_process_that_never_gets_ready_is_stopped_and_started_again():
    launcher = FakeLauncher(ready=False)
    command = Command(argv=["engine"], name="engine", start_timeout=0.02)
    async with Supervisor(command, policy=QUICK, launcher=launcher) as supervisor:
        await launcher.nth(2)
        assert launcher.launched[0].exit_code is not None
        assert "not ready within" in (supervisor.status.error or "")


async def test_failures_in_a_row_are_counted_and_given_up():
    launcher = FakeLauncher()
    policy = RestartPolicy(first_delay=0.01, give_up_after=3)
    async with Supervisor(COMMAND, policy=policy, launcher=launcher) as supervisor:
        for number in (1, 2, 3):
            (await launcher.nth(number)).end(1)
        await becomes_true(lambda: supervisor.status.state is State.FAILED)
        assert supervisor.status.failures == 3
        with pytest.raises(ProcessError, match="engine ended with exit code 1"):
            await supervisor.wait_ready()
    assert len(launcher.launched) == 3


async def test_a_first_start_may_be_the_only_one():
    launcher = FakeLauncher(ready=False)
    policy = RestartPolicy(first_delay=0.01, give_up_before_ready=1)
    async with Supervisor(COMMAND, policy=policy, launcher=launcher) as supervisor:
        (await launcher.nth(1)).end(2)
        with pytest.raises(ProcessError, match="exit code 2"):
            await supervisor.wait_ready()
        assert supervisor.status.state is State.FAILED


async def test_what_was_ready_once_is_started_again_without_end():
    launcher = FakeLauncher()
    policy = RestartPolicy(first_delay=0.01, longest_delay=0.02, give_up_before_ready=1)
    async with Supervisor(COMMAND, policy=policy, launcher=launcher) as supervisor:
        for number in (1, 2, 3, 4):
            process = await launcher.nth(number)
            await supervisor.wait_ready()
            process.end(1)
        await launcher.nth(5)


async def test_a_change_of_its_state_can_be_awaited():
    launcher = FakeLauncher()
    async with Supervisor(COMMAND, policy=SLOW, launcher=launcher) as supervisor:
        await supervisor.wait_ready()
        change = asyncio.create_task(supervisor.changed())
        (await launcher.nth(1)).end(0)
        assert (await change).state is State.BACKING_OFF


async def test_a_healthy_time_forgets_earlier_failures():
    launcher = FakeLauncher()
    policy = RestartPolicy(first_delay=0.01, healthy_after=0.0)
    async with Supervisor(COMMAND, policy=policy, launcher=launcher) as supervisor:
        for number in (1, 2, 3):
            process = await launcher.nth(number)
            await supervisor.wait_ready()
            process.end(1)
        await launcher.nth(4)
        await supervisor.wait_ready()
        assert supervisor.status.failures == 1


async def test_a_launch_that_is_refused_counts_as_a_failure():
    launcher = FakeLauncher()
    launcher.refusal = "Cannot start engine."
    policy = RestartPolicy(first_delay=0.01, give_up_after=2)
    async with Supervisor(COMMAND, policy=policy, launcher=launcher) as supervisor:
        with pytest.raises(ProcessError, match="Cannot start engine"):
            await supervisor.wait_ready()


async def test_stop_ends_the_process_with_its_grace_and_starts_no_other():
    launcher = FakeLauncher()
    supervisor = Supervisor(COMMAND, policy=QUICK, launcher=launcher)
    supervisor.start()
    await supervisor.wait_ready()
    await supervisor.stop()
    await asyncio.sleep(0.1)
    assert supervisor.status.state is State.STOPPED
    assert [process.stops for process in launcher.launched] == [[COMMAND.grace]]
    with pytest.raises(ProcessError, match="stopped"):
        await supervisor.wait_ready()


async def test_stop_wakes_those_who_wait_for_readiness():
    launcher = FakeLauncher(ready=False)
    supervisor = Supervisor(COMMAND, launcher=launcher)
    supervisor.start()
    waiting = asyncio.create_task(supervisor.wait_ready())
    await launcher.nth(1)
    await supervisor.stop()
    with pytest.raises(ProcessError):
        await waiting


async def test_a_stopped_supervisor_can_start_again():
    launcher = FakeLauncher()
    supervisor = Supervisor(COMMAND, launcher=launcher)
    for _ in range(2):
        supervisor.start()
        await supervisor.wait_ready()
        await supervisor.stop()
    assert len(launcher.launched) == 2


async def test_a_real_process_that_is_killed_comes_back_ready():
    code = "import time; print('up', flush=True); time.sleep(60)"
    command = Command(argv=[sys.executable, "-c", code], name="engine", ready=LineMatches(pattern="up"))
    lines = []
    async with Supervisor(command, policy=QUICK, on_line=lines.append) as supervisor:
        await supervisor.wait_ready()
        first = supervisor.process
        assert first is not None
        await first.stop(grace=0)
        await becomes_true(lambda: supervisor.process is not first)
        await supervisor.wait_ready()
        second = supervisor.process
    assert second is not None
    assert second.exit_code == -15
    assert lines == ["up", "up"]


def test_the_delay_doubles_up_to_its_cap():
    policy = RestartPolicy(first_delay=1, longest_delay=10, jitter=0)
    assert [policy.delay(failures) for failures in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 10, 10]


def test_the_jitter_shortens_a_delay_by_its_share_at_most():
    policy = RestartPolicy(first_delay=1, jitter=0.5)
    delays = {policy.delay(1) for _ in range(200)}
    assert 0.5 <= min(delays) < 0.6 < 0.9 < max(delays) <= 1


@pytest.mark.parametrize("wrong", [{"first_delay": 0}, {"first_delay": 61}, {"jitter": 1.1}])
def test_a_policy_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="first_delay"):
        RestartPolicy(**wrong)
