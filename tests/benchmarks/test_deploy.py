"""What is counted of a deployment under load, and the load itself."""

from collections import Counter

from benchmarks.deploy import costs, losses
from benchmarks.deploy_chute import Cost, loss
from benchmarks.deploy_load import CLIENTS, Calls, load

from support.http_servers import asgi_server, wait_until
from support.remote_chute import remote_chute


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_lost_call_is_one_that_was_begun_or_not_and_any_may_be_begun_twice():
    calls = Calls(answered={"a": "one", "b": "one"}, failed={"c": "reset", "d": "reset", "e": "refused"})
    found = loss("kill", "new connections", calls, Counter(["a", "b", "b", "c", "of another load"]))
    assert (found.calls, found.failed, found.not_begun, found.twice) == (5, 3, 2, 1)
    assert found.reasons == ("refused", "reset")
    (line,) = losses([found]).splitlines()[2:]
    assert cells(line) == ["kill: new connections", "5", "3", "2", "1"]


def test_times_are_shown_with_their_median_and_the_quickest():
    found = [Cost(what="image", seconds=seconds, busy=0.5) for seconds in (3.0, 1.0, 2.0)]
    (line,) = costs(found).splitlines()[2:]
    assert cells(line) == ["image", "2.00", "1.00", "0.50", "3"]


def test_without_samples_there_is_no_table():
    assert (costs([]), losses([])) == ("", "")


def test_every_kind_of_client_calls_until_the_end_and_each_failure_has_its_call():
    with asgi_server(remote_chute()) as url, load(url) as found:
        # This chute has no such cord: every call fails, with an id that no other has.
        wait_until(lambda: all(len(found[kind].failed) > 1 for kind in CLIENTS))
    names = [name for calls in found.values() for name in calls.failed]
    assert len(names) == len(set(names))
    assert all("404" in reason for calls in found.values() for reason in calls.failed.values())
    assert not any(calls.answered for calls in found.values())
