from benchmarks.startup import Start, imports, starts


def start(server: str, seconds: float, **values) -> Start:
    given = {
        "cpu": seconds / 2,
        "resident": 50.0,
        "proportional": 40.0,
        "processes": 1,
        "foreign": 0.0,
    } | values
    return Start(server=server, seconds=seconds, **given)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_starts_are_shown_with_their_median_and_the_quickest():
    found = [start("one", 0.8), start("other", 2.0), start("one", 0.6), start("one", 1.0)]
    lines = starts(found).splitlines()[2:]
    assert cells(lines[0]) == ["one", "0.80", "0.60", "0.30", "50", "40", "1", "0.00", "3"]
    assert cells(lines[1])[0] == "other"


def test_imports_are_shown_in_milliseconds():
    assert cells(imports({"chutes.chute": [31.2, 29.8, 40.0]}).splitlines()[-1]) == [
        "`import chutes.chute`",
        "30",
        "31",
    ]
