"""The tables of the reference pages name what the code has: no more, no less."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from chutes.chute import Batch, Chute
from chutes.chute.cord import ROUTE_OPTIONS
from chutes.chute.definition import MODEL_CALLS
from chutes.settings import VARIABLES
from chutes.templates import build_embedding_chute, build_sglang_chute, build_vllm_chute
from chutes.testing import TestClient
from support.pages import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def page(name: str) -> str:
    return (DOCS / name).read_text()


def table(text: str, heading: str) -> list[list[str]]:
    """The rows below the header row that begins with `heading`, each cell without its backticks."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return rows


def parameters(function: object) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)  # type: ignore[arg-type] # a method
    found.pop("self", None)
    return found


def test_the_page_of_chutes_has_every_parameter_in_its_order():
    names = [row[0].lstrip("*") for row in table(page("chutes.md"), "parameter")]
    assert names == list(parameters(Chute))


def test_the_page_of_chutes_has_the_true_defaults():
    signature = parameters(Chute)
    for name, _, default, _ in table(page("chutes.md"), "parameter"):
        if default == "required":
            assert signature[name].default is inspect.Parameter.empty
        elif default and default != "{}":
            assert ast.literal_eval(default) == signature[name].default, name


def test_the_page_of_chutes_names_exactly_what_cannot_be_assigned():
    sentence = re.search(r"cannot be assigned: (.*?)\. `health_check`", page("chutes.md"), re.DOTALL)
    assert sentence is not None
    chute = Chute("acme", "assigned", "python:3.12")
    refused = set()
    for name in (name for name in dir(Chute) if not name.startswith("_")):
        try:
            setattr(chute, name, None)
        except AttributeError:
            refused.add(name)
    assert set(re.findall(r"`(\w+)`", sentence[1])) == refused


def test_the_page_of_cords_has_every_parameter():
    text = page("cords.md")
    named = {row[0] for row in table(text, "parameter of `@chute.cord`")}
    accepted = {name for name in parameters(Chute.cord) if name not in named}
    assert named <= set(parameters(Chute.cord))
    for name in (accepted - {"route_options"}) | ROUTE_OPTIONS:
        assert f"`{name}`" in text


def test_the_page_of_running_has_every_variable():
    names = {row[0] for row in table(page("running.md"), "variable")}
    assert names == {*VARIABLES, "NO_COLOR"}


def test_the_page_of_metrics_has_every_metric_with_its_labels_and_bounds():
    text = page("health-and-metrics.md")
    documented = {row[0]: set(re.findall(r"\w+", row[2])) for row in table(text, "name")}
    chute = Chute("acme", "metered", "python:3.12")

    @chute.cord("/a", batch=Batch())
    async def a(self: Chute, value: list[int]) -> list[int]:
        return value

    with TestClient(chute) as client:
        client.post("/a", json={"value": 1})
        shown = client.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (chutes_\w+) (\w+)$", shown, re.MULTILINE))
    assert {row[0]: row[1] for row in table(text, "name")} == kinds
    for name, labels in documented.items():
        sample = re.search(rf"^{name}(?:_count)?(?:{{(.*)}})? ", shown, re.MULTILINE)
        assert sample is not None
        assert set(re.findall(r"(\w+)=", sample[1] or "")) == labels
    bounds = re.search(r"bounds are (.*?) seconds", text, re.DOTALL)
    assert bounds is not None
    written = [float(number) for number in re.findall(r"[\d.]+", bounds[1])]
    assert written == [
        float(bound) for bound in re.findall(r'chutes_request_seconds_bucket.*le="([\d.]+)"', shown)
    ]
    for name in re.findall(r"`(process_\w+)`", text):
        assert re.search(rf"^{name}", shown, re.MULTILINE) or not Path("/proc/self/stat").exists()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_into_a_page_leads_to_a_heading(path: Path):
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", path.read_text()):
        other = path.parent / target if target else path
        assert anchor in anchors(other), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The ids that a Markdown reader gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_page_of_templates_has_every_parameter_with_its_default():
    rows = {row[0].lstrip("*"): row[1] for row in table(page("templates.md"), "parameter")}
    names: dict[str, inspect.Parameter] = {}
    for build in (build_vllm_chute, build_sglang_chute, build_embedding_chute):
        names |= {name: one for name, one in parameters(build).items() if name not in names}
    assert set(rows) == set(names)
    assert [name for name in rows if name in parameters(build_embedding_chute)] == list(
        parameters(build_embedding_chute)
    )
    for name, default in rows.items():
        if default == "required":
            assert names[name].default is inspect.Parameter.empty
        elif default and name != "image":
            assert ast.literal_eval(default) == names[name].default, name


def test_the_page_of_templates_has_every_call_of_the_model():
    assert set(re.findall(r"`(?:await )?self\.(\w+)\(", page("templates.md"))) == MODEL_CALLS
