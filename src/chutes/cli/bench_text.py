"""How `chutes bench` shows its reports to people."""

from collections.abc import Sequence

from chutes.bench.report import Report, Streams
from chutes.bench.saturation import Saturation
from chutes.bench.server_side import ServerSide
from chutes.bench.spread import Bar, Spread
from chutes.bench.tally import Tally

__all__ = [
    "failures_of_several",
    "head",
    "histogram",
    "load_in_words",
    "progress",
    "report_lines",
    "row",
    "row_titles",
    "saturation_sentence",
]

_LABEL = 13
_EIGHTHS = " ▏▎▍▌▋▊▉"
_MILLISECOND = 0.001
_HUNDRED = 100
_FEW_COLUMNS = 20


def head(method: str, url: str, inputs: int) -> str:
    """What is called."""
    return f"{method} {url}" + (f", {inputs} inputs in turn" if inputs > 1 else "")


def progress(tally: Tally, seconds: float) -> str:
    """One line on how far a run has come."""
    return f"{seconds:.0f} s: {tally.answered} answers, {len(tally.latencies)} of them good"


def report_lines(report: Report, width: int, blocks: str) -> list[str]:
    """A whole report.

    Args:
        report: the report.
        width: columns of the terminal.
        blocks: the characters that bars are drawn with; see `histogram`.
    """
    lines = [
        _fact("load", _load(report)),
        _fact("requests", f"{report.requests}: {_outcomes(report)}"),
        _fact("throughput", f"{_number(report.per_second)}/s, {_size(report.bytes_per_second)}/s"),
    ]
    if report.latency is not None:
        lines += _spread("latency", report.latency)
    if report.streams is not None:
        lines += _streams(report.streams)
    if report.statuses:
        lines.append(_fact("statuses", ", ".join(f"{status}: {n}" for status, n in report.statuses.items())))
    lines += [_fact("failed", text) for text in _failures(report)]
    if report.server is not None:
        lines.append(_fact("the chute", _server(report.server)))
    if len(report.bars) > 1:
        lines += ["", *histogram(report.bars, width, blocks)]
    return lines


def histogram(bars: Sequence[Bar], width: int, blocks: str) -> list[str]:
    """A line for each bar.

    Args:
        bars: the bars.
        width: columns that a line may have.
        blocks: characters from the thinnest part of a bar to a full one.
    """
    labels = [f"up to {_time(bar.upto)}" for bar in bars]
    counts = [str(bar.count) for bar in bars]
    before, after = max(map(len, labels)), max(map(len, counts))
    room = max(_FEW_COLUMNS, width - before - after - 2)
    most = max(bar.count for bar in bars)
    return [
        f"{label:>{before}} {_drawn(bar.count / most, room - 1, blocks)} {count}"
        for label, count, bar in zip(labels, counts, bars, strict=True)
    ]


def row_titles(report: Report) -> str:
    """The line above the rows of several runs, of which this is the first."""
    names = ["clients" if report.rate is None else "rate", "req/s", "p50", "p90", "p99"]
    names += ["1st chunk", "chunks/s"] if report.streams else []
    return _cells([*names, "failed", "refused"])


def row(report: Report, *, streams: bool) -> str:
    """One run in a line; `streams` says whether the titles have columns for those."""
    latency = report.latency
    cells = [
        str(report.clients) if report.rate is None else f"{report.rate:g}",
        _number(report.per_second),
        *(_time(value) for value in ((latency.p50, latency.p90, latency.p99) if latency else ())),
        *([] if latency else ["-"] * 3),
    ]
    if streams:
        first = report.streams.first_chunk if report.streams else None
        cells += [_time(first.p50) if first else "-"]
        cells += [_number(report.streams.chunks_per_second) if report.streams else "-"]
    return _cells([*cells, str(report.failed), str(report.refused)])


def saturation_sentence(found: Saturation) -> str:
    """Where throughput stopped growing, and what that says of `concurrency`."""
    clients = _clients(found.clients)
    if found.is_last and not found.is_limit:
        more = ",".join(str(found.clients * factor) for factor in (1, 2, 4))
        return (
            f"Throughput still grew at {clients} ({_number(found.per_second)}/s): try more, with -c {more}."
        )
    where = "Throughput still grew" if found.is_last else "Throughput stopped growing"
    at = f"{where} at {clients}: {_number(found.per_second)}/s with a median latency of {_time(found.p50)}."
    if found.is_limit:
        return (
            f"{at} The chute runs {found.concurrency} at once (concurrency={found.concurrency}), which may be "
            "what holds it: raise that, and measure again."
        )
    if found.concurrency is None:
        return f"{at} More only wait longer."
    return f"{at} More only wait longer: concurrency={found.clients} is enough for this load (it is {found.concurrency})."


def load_in_words(report: Report) -> str:
    """How the chute was loaded."""
    return _clients(report.clients) if report.rate is None else f"{report.rate:g} requests/s"


def failures_of_several(reports: Sequence[Report]) -> list[str]:
    """A line for each way in which calls failed in any of the runs, with an example."""
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for failure in (failure for report in reports for failure in report.failures):
        counts[failure.what] = counts.get(failure.what, 0) + failure.count
        examples[failure.what] = examples.get(failure.what) or failure.example
    return [_failure(count, what, "", examples[what]) for what, count in counts.items()]


def _load(report: Report) -> str:
    ended = ", interrupted" if report.interrupted else ""
    return f"{load_in_words(report)} for {_time(report.seconds)}{ended}"


def _outcomes(report: Report) -> str:
    if report.good == report.requests:
        return "all good" if report.requests else "none ended"
    parts = [f"{report.good} good"]
    parts += [f"{report.refused} refused"] if report.refused else []
    parts += [f"{report.failed} failed"] if report.failed else []
    return ", ".join(parts)


def _spread(name: str, spread: Spread) -> list[str]:
    shares = {
        "p50": spread.p50,
        "p90": spread.p90,
        "p95": spread.p95,
        "p99": spread.p99,
        "p99.9": spread.p999,
    }
    ends = {"min": spread.min, "mean": spread.mean, "max": spread.max}
    return [
        _fact(name, "  ".join(f"{key} {_time(value)}" for key, value in shares.items())),
        _fact("", "  ".join(f"{key} {_time(value)}" for key, value in ends.items())),
    ]


def _streams(streams: Streams) -> list[str]:
    lines = [_fact("chunks", f"{streams.chunks}, {_number(streams.chunks_per_second)}/s")]
    for name, spread in (("first chunk", streams.first_chunk), ("next chunk", streams.between_chunks)):
        if spread is not None:
            shares = {"p50": spread.p50, "p90": spread.p90, "p99": spread.p99, "max": spread.max}
            lines.append(_fact(name, "  ".join(f"{key} {_time(value)}" for key, value in shares.items())))
    return lines


def _failures(report: Report) -> list[str]:
    lines = []
    for failure in report.failures:
        waits = report.retry_after if failure.what in {"429", "503"} else None
        asked = f", asked to wait {_range(waits)} s" if waits else ""
        lines.append(_failure(failure.count, failure.what, asked, failure.example))
    return lines


def _range(waits: Spread) -> str:
    return f"{waits.min:g}" if waits.min == waits.max else f"{waits.min:g} to {waits.max:g}"


def _failure(count: int, what: str, asked: str, example: str) -> str:
    return f"{count} x {what}{asked}{f': {example}' if example else ''}"


def _server(server: ServerSide) -> str:
    parts = [f"concurrency {server.concurrency}"]
    if server.running is not None and server.waiting is not None:
        parts.append(f"on average {_number(server.running)} running and {_number(server.waiting)} waiting")
    if server.queued_mean is not None and server.queued_mean > _MILLISECOND:
        bound = f" (99 % within {_time(server.queued_p99)})" if server.queued_p99 is not None else ""
        parts.append(f"queued for {_time(server.queued_mean)} on average{bound}")
    if server.batches is not None and server.batch_mean is not None:
        parts.append(f"{server.batches} batches of {_number(server.batch_mean)}")
    if server.cpu is not None:
        parts.append(f"{server.cpu * _HUNDRED:.0f} % of a processor core")
    return "; ".join(parts)


def _fact(name: str, text: str) -> str:
    return f"{name:<{_LABEL}}{text}"


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>11}" for cell in cells)[4:]


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _drawn(share: float, columns: int, blocks: str) -> str:
    full, rest = divmod(round(share * columns * len(blocks)), len(blocks))
    return blocks[-1] * full + (blocks[rest - 1] if rest else "")


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= _HUNDRED else f"{value:.3g}"


def _size(count: float) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{_number(count / size)} {unit}"
    return f"{count:.0f} bytes"


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds / _MILLISECOND:.{_digits(seconds)}f} ms"


def _digits(seconds: float) -> int:
    if seconds >= _HUNDRED * _MILLISECOND:
        return 0
    return 1 if seconds >= 10 * _MILLISECOND else 2
