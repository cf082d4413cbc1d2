"""Which files go with a chute."""

import pytest

from chutes.build.sources import find_sources
from chutes.errors import BuildError


def files_of(project, reference="app.py"):
    return set(find_sources(project.load(reference)).files)


def test_a_file_that_imports_nothing_goes_alone(project):
    project.chute()
    project.write("other.py")

    assert files_of(project) == {"app.py"}


@pytest.mark.parametrize(
    "statement",
    [
        "import helpers.words",
        "from helpers import words",
        "from helpers.words import count",
        "def later():\n    from helpers import words\n",
        "import importlib\nimportlib.import_module('helpers.' + 'words')",
    ],
)
def test_a_module_that_is_imported_goes_with_its_package(project, statement):
    project.chute(statement)
    project.write("helpers/__init__.py")
    project.write("helpers/words.py", "import near\n\ndef count(): ...\n")
    project.write("helpers/unused.py")
    project.write("near.py")

    assert files_of(project) == {"app.py", "helpers/__init__.py", "helpers/words.py", "near.py"}


def test_imports_that_begin_with_a_dot_are_followed(project):
    project.write("shop/__init__.py")
    project.write("shop/prices.py", "from . import taxes\nfrom .deep.er import x\n")
    project.write("shop/taxes.py")
    project.write("shop/deep/__init__.py")
    project.write("shop/deep/er.py", "from ..late import y\nx = y\n")
    project.write("shop/late.py", "y = 1\n")
    project.chute("from shop import prices", name="shop/app.py")

    sources = find_sources(project.load("shop.app"))

    assert sources.target == "shop/app.py:chute"
    assert set(sources.files) == {
        "shop/__init__.py", "shop/app.py", "shop/prices.py", "shop/taxes.py", "shop/deep/__init__.py",
        "shop/deep/er.py", "shop/late.py",
    }  # fmt: skip


def test_files_and_folders_that_the_code_names_go_too(project):
    project.chute(
        'from pathlib import Path\nPAGE = Path(__file__).with_name("page.html")\nSTATIC = "static"\n'
    )
    for name in ("page.html", "static/app.css", "static/img/logo.svg", "other.html"):
        project.write(name)

    assert files_of(project) == {"app.py", "page.html", "static/app.css", "static/img/logo.svg"}


@pytest.mark.parametrize("name", [".env", ".git/config", "../outside.txt", "/etc/passwd", "."])
def test_hidden_files_and_those_outside_of_the_folder_stay_out(project, name):
    project.chute(f"NAME = {name!r}\n")
    for file in (".env", ".git/config", "../outside.txt"):
        project.write(file, "secret")

    assert files_of(project) == {"app.py"}


def test_what_the_ignore_file_names_stays_out(project):
    project.chute('import helpers\nNAMES = ("big.bin", "small.bin")\n')
    for name in ("helpers.py", "big.bin", "small.bin"):
        project.write(name)
    project.write(".dockerignore", "big*\n")

    assert files_of(project) == {"app.py", "helpers.py", "small.bin"}


def test_an_ignored_chute_is_refused(project):
    project.chute()
    project.write(".dockerignore", "*.py\n")

    with pytest.raises(BuildError, match=r"keeps app\.py out"):
        find_sources(project.load())


def test_libraries_that_are_missing_here_are_no_files_of_the_chute(project):
    project.chute("import torch_that_is_not_here\n")

    assert files_of(project) == {"app.py"}


def test_an_environment_inside_of_the_folder_stays_out(project):
    project.chute('NAME = "venv"\n')
    project.write("venv/lib/python3.11/site-packages/library.py")
    project.write("__pycache__/app.pyc")

    assert files_of(project) == {"app.py"}


def test_a_requirements_file_beside_the_chute_is_found(project):
    project.chute()
    assert find_sources(project.load()).requirements is None

    project.write("requirements.txt", "numpy\n")
    assert find_sources(project.load()).requirements == "requirements.txt"
