import pytest
from benchmarks.comparisons import COMPARISONS, compared
from benchmarks.environments import requirements, version_of
from benchmarks.lineup import SERVERS
from benchmarks.samples import Sample


def sample(server: str, rate: float, workload: str = "model") -> Sample:
    return Sample(
        server=server, workload=workload, rate=rate, cpu=1e6 / rate, p50=1.0, p99=2.0, failed=0, foreign=0.0
    )


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


@pytest.mark.parametrize("comparison", COMPARISONS.values(), ids=list(COMPARISONS))
def test_every_server_of_a_table_is_described(comparison):
    assert {entry.server for entry in comparison.entries()} <= SERVERS.keys()


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
def test_every_server_has_an_environment_with_pinned_versions(server):
    lines = requirements(server.environment).read_text().split()
    assert all("==" in line for line in lines)
    assert version_of(server.environment, server.package)


def test_peers_take_part_only_in_the_form_that_they_have():
    entries = [(entry.server, entry.workload.name) for entry in COMPARISONS["echo"].entries()]
    assert ("mosec", "model") in entries
    assert ("mosec", "query") not in entries
    assert {("raw ASGI", "query"), ("FastAPI", "query"), ("chutes", "query")} <= set(entries)


def test_a_table_can_be_cut_down_to_some_servers():
    assert {entry.server for entry in COMPARISONS["echo"].entries(["chutes"])} == {"chutes"}


def test_the_table_shows_medians_and_the_share_of_each_limit():
    samples = [sample("raw ASGI", 20_000), sample("chutes", 15_000), sample("FastAPI", 5_000)]
    samples += [sample("chutes", 17_000), sample("chutes", 16_000)]
    head, _, _, chutes, _ = cells(compared(COMPARISONS["echo"], samples))
    shown = dict(zip(head, chutes, strict=True))
    assert shown["server"] == "one model: chutes"
    assert (shown["requests/s"], shown["best"], shown["n"]) == ("16,000", "17,000", "3")
    assert (shown["of raw ASGI"], shown["of FastAPI"]) == ("0.80", "3.20")


def test_a_table_without_the_limit_shows_no_share_of_it():
    head, _, row = cells(compared(COMPARISONS["echo"], [sample("chutes", 15_000)]))
    assert dict(zip(head, row, strict=True))["of raw ASGI"] == ""


def test_a_table_with_a_ceiling_shows_the_share_of_it():
    head, _, row = cells(compared(COMPARISONS["concurrency"], [sample("chutes", 6080, "sleep")]))
    assert dict(zip(head, row, strict=True))["of the ceiling"] == "0.950"
