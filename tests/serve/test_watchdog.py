"""The watchdog: what counts as a stall, how it is told, and what is none."""

import bdb
import logging
import sys
import threading

import pytest

from chutes.serve.app import ServedChute
from chutes.serve.lifecycle import State
from chutes.serve.watchdog import time_awake
from chutes.settings import Settings
from chutes.testing import async_wait_until, wait_until
from support.serving import new_chute, serving


def served_chute(**options):
    """A chute that serves, whose watchdog takes the test's own thread for the loop's."""
    served = ServedChute(new_chute(**options), Settings())
    served.lifecycle.state = State.READY
    served.watchdog._loop_thread = threading.get_ident()
    served.watchdog.look(0)
    return served


@pytest.fixture
def served():
    served = served_chute(stall_limit=5)
    yield served
    served.watchdog.stop()


def log_lines(caplog, level):
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def stalls(served):
    return served.meters.loop.stalls, round(served.meters.loop.stall_seconds, 3)


def test_a_loop_that_beats_is_never_blocked(served, caplog):
    for _ in range(50):
        served.watchdog.beat()
        served.watchdog.look(0.9)
    assert served.watchdog.blocked_seconds == 0
    assert stalls(served) == (0, 0)
    assert not caplog.records


def test_a_second_without_a_beat_is_told_once_and_counted_to_its_end(served, caplog):
    caplog.set_level(logging.INFO)
    for _ in range(6):
        served.watchdog.look(0.5)
    assert stalls(served) == (1, 3.0)
    assert served.watchdog.blocked_seconds == pytest.approx(3.0)
    served.watchdog.beat()
    served.watchdog.look(0.1)
    wait_until(lambda: len(caplog.records) == 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]
    warning, end = (record.getMessage() for record in caplog.records)
    assert warning.startswith("The event loop has been blocked for 1.0 s")
    assert end == "The event loop runs again: it was blocked for 3.0 s."


def test_each_stall_is_told_and_counted(served, caplog):
    for _ in range(3):
        served.watchdog.look(1.5)
        served.watchdog.beat()
        served.watchdog.look(0.1)
    wait_until(lambda: len(log_lines(caplog, logging.WARNING)) == 3)
    assert stalls(served) == (3, 4.5)


def test_a_stall_that_stopped_the_watchdog_too_is_told_without_its_stack(served, caplog):
    served.watchdog.beat()
    served.watchdog.look(7)
    assert stalls(served) == (1, 7)
    assert served.health.alive()[0] == 503
    wait_until(lambda: caplog.records)
    (warning,) = log_lines(caplog, logging.WARNING)
    assert warning.startswith("The event loop was blocked for 7.0 s by code that kept Python's lock")
    assert "  File" not in warning


def test_a_late_look_at_a_loop_that_ran_meanwhile_is_no_stall(served, caplog):
    for _ in range(60):
        served.watchdog.beat()
    served.watchdog.look(7)
    assert stalls(served) == (0, 0)
    assert not caplog.records


def test_livez_fails_at_the_limit_and_until_the_beat_after_the_next(served):
    health = served.health
    served.watchdog.look(4.9)
    assert health.alive() == (200, {"status": "alive"})
    served.watchdog.look(0.1)
    assert health.alive()[0] == 503
    assert health.alive()[1]["detail"].startswith("The event loop has been blocked for 5 s.")
    for expected in (503, 200):
        served.watchdog.beat()
        served.watchdog.look(0.1)
        assert health.alive()[0] == expected


def test_livez_never_fails_without_a_limit():
    served = served_chute(stall_limit=0)
    for _ in range(3):
        served.watchdog.look(1000)
    assert served.health.alive() == (200, {"status": "alive"})
    served.watchdog.stop()


def test_hooks_may_block_the_start(served, caplog):
    caplog.set_level(logging.INFO)
    served.lifecycle.state = State.STARTING
    for _ in range(100):
        served.watchdog.look(1)
    wait_until(lambda: caplog.records)
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert caplog.records[0].getMessage().startswith("The chute starts, and blocks its event loop")
    assert served.health.alive()[0] == 200
    served.lifecycle.state = State.READY
    served.watchdog.look(0.1)
    assert served.health.alive()[0] == 200
    assert stalls(served) == (0, 0)


@pytest.mark.parametrize("state", [State.NEW, State.STOPPED, State.FAILED])
def test_nothing_is_said_where_nobody_is_served(served, caplog, state):
    served.lifecycle.state = state
    for _ in range(10):
        served.watchdog.look(10)
    assert served.health.alive()[0] == 200
    assert stalls(served) == (0, 0)
    assert not caplog.records


def test_a_stall_goes_on_while_the_chute_begins_to_drain(served):
    served.watchdog.look(3)
    served.lifecycle.state = State.DRAINING
    served.watchdog.look(3)
    assert stalls(served) == (1, 6)
    assert served.health.alive()[0] == 503


def test_a_person_at_a_breakpoint_is_no_stall(served, caplog):
    class Debugger(bdb.Bdb):
        def user_line(self, frame):
            for _ in range(10):
                served.watchdog.look(1)

    def stopped_at():
        return served.watchdog.blocked_seconds

    trace = sys.gettrace()
    try:
        Debugger().runcall(stopped_at)
    finally:
        sys.settrace(trace)
    assert stalls(served) == (0, 0)
    assert not caplog.records


@pytest.mark.parametrize(
    ("seconds", "cpu_seconds", "counted"),
    [(0.1, 0, 0.1), (0.5, 0.5, 0.5), (3600, 0.01, 0.1), (70, 69.5, 69.5), (2, 8, 2)],
    ids=["on time", "a little late", "suspended", "computed without letting go", "computed on many cores"],
)
def test_time_in_which_the_process_stood_still_is_not_counted(seconds, cpu_seconds, counted):
    assert time_awake(seconds, cpu_seconds) == counted


def test_the_stack_shows_the_users_function_and_the_request(caplog):
    chute = new_chute()

    def innermost():
        running = chute.app.served
        running.watchdog._loop_thread = threading.get_ident()
        running.watchdog.look(0)
        running.watchdog.look(1)

    async def generate(self):
        innermost()

    with serving(generate, chute=chute) as client:
        client.post("/run", headers={"X-Request-ID": "told-1"})
        wait_until(lambda: log_lines(caplog, logging.WARNING))
    (warning,) = log_lines(caplog, logging.WARNING)
    frames = [line.strip() for line in warning.splitlines() if line.startswith("  File")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["generate", "innermost"]
    assert all(__file__ in frame for frame in frames)
    assert chute.app.served.watchdog._request_id == "told-1"


async def test_it_watches_the_loop_on_which_it_was_started(served):
    beats = served.watchdog._beats
    served.watchdog.start()
    try:
        await async_wait_until(lambda: served.watchdog._beats > beats + 2)
    finally:
        served.watchdog.stop()
        served.watchdog.stop()
    assert not [one for one in threading.enumerate() if one.name == "chutes-watchdog"]
