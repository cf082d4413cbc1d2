"""What the instances of a chute wrote, in the order in which they wrote it."""

from collections.abc import Iterator, Sequence

from chutes.deploy.local.runner import Runner

__all__ = ["read_logs"]


def read_logs(runner: Runner, names: Sequence[str], *, lines: int, follow: bool) -> Iterator[str]:
    """The last lines of these containers, and with `follow` those that come.

    Where there are several, each line begins with the last part of its container's name.
    """
    tail = ["--tail", str(lines)]
    if follow:
        for number, line in runner.lines([["logs", *tail, "--follow", name] for name in names]):
            yield line if len(names) == 1 else f"{_short(names[number])}  {line}"
    elif len(names) == 1:
        yield from (line for _, line in runner.lines([["logs", *tail, names[0]]]))
    else:
        yield from _merged(runner, names, lines)


def _merged(runner: Runner, names: Sequence[str], lines: int) -> Iterator[str]:
    commands = [["logs", "--timestamps", "--tail", str(lines), name] for name in names]
    found = []
    for number, line in runner.lines(commands):
        stamp, _, text = line.partition(" ")
        found.append((stamp, f"{_short(names[number])}  {text}"))
    found.sort(key=lambda entry: entry[0])
    yield from (text for _, text in found[-lines:] if lines)


def _short(name: str) -> str:
    return name.rpartition(".")[2]
