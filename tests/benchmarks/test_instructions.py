import pytest
from benchmarks.instructions import Count, failures, instructions_of, per_request, render


def counted(
    app: str, *, few: int, many: int, form: str = "model", counts: tuple[int, int] = (10, 30)
) -> list[Count]:
    return [
        Count(form=form, app=app, count=counts[1], instructions=many),
        Count(form=form, app=app, count=counts[0], instructions=few),
    ]


def figures(chutes: float) -> dict[str, dict[str, float]]:
    return {"model": {"raw ASGI": 40_000.0, "FastAPI": 450_000.0, "chutes": chutes}}


def test_the_start_of_the_process_does_not_count():
    assert per_request(counted("chutes", few=1_000_000, many=1_000_000 + 20 * 500)) == {
        "model": {"chutes": 500}
    }


def test_a_stream_is_counted_by_the_chunk():
    counts = counted("chutes", few=0, many=2 * 200 * 70, form="stream", counts=(2, 4))
    assert per_request(counts) == {"stream": {"chutes": 70}}


def test_the_total_is_read_from_the_report():
    assert instructions_of("desc: I1 cache\nevents: Ir\nfn=main\n1 42\nsummary: 1234\n") == 1234


def test_a_report_without_a_total_is_refused():
    with pytest.raises(ValueError, match="no summary"):
        instructions_of("events: Ir\n")


def test_the_gate_passes_at_its_limits():
    assert failures(figures(128_000)) == []


def test_the_gate_names_the_figures_that_miss():
    (only,) = failures(figures(130_000))
    assert only == (
        "A request to a cord with one model takes 130,000 instructions, 3.250 times those of raw ASGI (40,000); "
        "the limit is 3.20."
    )


def test_the_gate_looks_at_both_limits():
    assert len(failures(figures(140_000))) == 2


def test_the_table_shows_counts_and_shares():
    last = render(figures(100_000)).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == [
        "one model", "40,000", "450,000", "100,000", "0.222", "2.50",
    ]  # fmt: skip
