"""The public names are those that docs/api.md lists, and each says what it is."""

import importlib
import inspect
import pkgutil

import pytest

import chutes
from support.surface import PAGE, entry, public_modules, render

MODULES = public_modules()
# It runs on the nodes of a Ray cluster, whose environment has Ray.
ELSEWHERE = {"chutes.deploy.ray.replica"}
EVERY_MODULE = sorted(
    {module.name for module in pkgutil.walk_packages(chutes.__path__, "chutes.")} - ELSEWHERE
)
PATHS = {f"{module.__name__}.{name}": (module, name) for module in MODULES for name in module.__all__}


def test_the_page_lists_the_public_names():
    assert PAGE.read_text(encoding="utf-8") == render(), "Run: python tests/support/surface.py"


@pytest.mark.parametrize("path", PATHS)
def test_a_public_class_or_function_has_a_docstring(path):
    module, name = PATHS[path]
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert entry(name, value) != f"- `{name}`"


@pytest.mark.parametrize("name", [name for name in EVERY_MODULE if not name.endswith("__main__")])
def test_a_module_has_what_it_promises(name):
    module = importlib.import_module(name)
    promised = getattr(module, "__all__", [])
    assert [missing for missing in promised if not hasattr(module, missing)] == []
    assert len(promised) == len(set(promised))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_public_module_shows_no_other_name(module):
    own = {
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    }
    assert {name for name in own if not name.startswith("_")} <= set(module.__all__)
