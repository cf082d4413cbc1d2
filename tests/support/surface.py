"""The public names of the package, as the page docs/api.md lists them; run as a program it writes that page."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import chutes

PAGE = Path(__file__).parent.parent.parent / "docs" / "api.md"
# Parts that no user imports. Whatever they have in `__all__` may change from one version to the next.
INTERNAL = {
    "chutes.__main__",
    "chutes.bench",
    "chutes.jobs",
    "chutes.json_values",
    "chutes.cli",
    "chutes.serve",
    "chutes.suggestions",
    "chutes.tracebacks",
}
INTRODUCTION = """\
# Public names

What this page lists is stable within a minor version; anything else may change. `help(name)` in Python says more about
each. The page is made from the docstrings, by `python tests/support/surface.py`.
"""


def public_modules() -> list[ModuleType]:
    """The package itself, and each of its direct parts that users import."""
    names = [f"chutes.{module.name}" for module in pkgutil.iter_modules(chutes.__path__)]
    return [chutes, *(importlib.import_module(name) for name in sorted(names) if name not in INTERNAL)]


def render() -> str:
    """The text of the page."""
    return "\n".join([INTRODUCTION, *(section(module) for module in public_modules())])


def section(module: ModuleType) -> str:
    """A heading, what the module is for, and its names."""
    lines = [f"## `{module.__name__}`", "", first_line(module), ""]
    lines += [entry(name, getattr(module, name)) for name in sorted(module.__all__)]
    return "\n".join(lines) + "\n"


def entry(name: str, value: object) -> str:
    """One name, and the first line of its docstring if it has one of its own."""
    described = inspect.isclass(value) or inspect.isroutine(value)
    return f"- `{name}`: {first_line(value)}" if described and inspect.getdoc(value) else f"- `{name}`"


def first_line(value: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
