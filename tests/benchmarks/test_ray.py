"""What of the benchmark of Ray needs no cluster: what is compared, and what the tables say of it."""

import pytest
from benchmarks.deploy_load import Calls
from benchmarks.ray import chosen, rates, update_of, updates
from benchmarks.ray_cluster import by_hand
from benchmarks.samples import Sample

from chutes.deploy import Plan, Resources
from chutes.deploy.ray.config import Code, application


def sample(side: str, rate: float, failed: int = 0) -> Sample:
    return Sample(
        server=side, workload="HAProxy, echo", rate=rate, cpu=500, p50=7, p99=9, failed=failed, foreign=0.1
    )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rates_are_told_as_shares_of_what_was_written_by_hand():
    text = rates([sample("by hand", 2000), sample("chutes", 1000, failed=3), sample("chutes", 3000)])
    head, _, ours, other = map(cells, text.splitlines())
    assert dict(zip(head, ours, strict=True)) == {
        "proxy, work: by whom": "HAProxy, echo: chutes", "a second": "2,000", "best": "3,000", "of by hand": "1.00",
        "CPU µs each": "500", "p50 ms": "7.00", "p99 ms": "9.00", "failed": "3", "others' load": "0.10", "n": "2",
    }  # fmt: skip
    assert other[0] == "HAProxy, echo: by hand"


def test_what_was_not_measured_by_hand_has_no_share():
    assert cells(rates([sample("chutes", 1000)]).splitlines()[-1])[3] == ""


def test_an_update_counts_the_calls_that_failed_and_those_that_a_new_version_answered():
    calls = Calls(answered={"a": "1", "b": "2", "c": "3"}, failed={"d": "reset", "e": "reset"})
    found = update_of("HAProxy", "chutes", "new connections", calls)
    assert found.reasons == ("reset",)
    assert cells(updates([found]).splitlines()[-1]) == ["HAProxy, chutes: new connections", "5", "2", "2"]


def test_without_samples_there_is_no_table():
    assert (rates([]), updates([])) == ("", "")


@pytest.mark.parametrize(
    ("words", "proxies", "parts"),
    [
        ([], ["proxy"], ["load", "update", "cold", "scale"]),
        (["haproxy"], ["haproxy"], ["load", "update", "cold", "scale"]),
        (["scale", "haproxy", "load", "proxy"], ["proxy", "haproxy"], ["load", "scale"]),
    ],
)
def test_words_choose_proxies_and_parts(words, proxies, parts):
    assert chosen(words) == (proxies, parts)


def test_a_word_that_is_no_part_is_refused():
    with pytest.raises(ValueError, match=r"'loads'.*haproxy, load"):
        chosen(["loads"])


def test_both_sides_have_as_many_replicas_of_one_size_by_one_rule():
    plan = Plan(
        username="me", name="scale", image="", max_instances=3, min_instances=0, concurrency=2,
        environment={"VERSION": "7"}, resources=Resources(cpu=0.1),
    )  # fmt: skip
    (ours,), wanted = application(plan, Code())["deployments"], by_hand(plan, "/by-hand/scale")
    (other,) = wanted["deployments"]
    assert other["autoscaling_config"] == ours["autoscaling_config"]
    assert other["ray_actor_options"] == ours["ray_actor_options"] == {"num_cpus": 0.1}
    assert wanted["runtime_env"]["env_vars"]["VERSION"] == "7"
