"""The framework's wheel: what pip makes of it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import chutes
from chutes.build.framework import framework_wheel


@pytest.fixture(scope="module")
def wheel():
    return framework_wheel()


def test_the_same_code_gives_the_same_bytes(wheel):
    assert framework_wheel() == wheel


def test_it_holds_each_file_of_the_package(wheel, tmp_path):
    path = tmp_path / wheel.filename
    path.write_bytes(wheel.content)
    package = Path(chutes.__file__).parent

    names = set(zipfile.ZipFile(path).namelist())

    assert {f"chutes/{file.relative_to(package)}" for file in package.rglob("*.py")} <= names
    assert "chutes/py.typed" in names
    assert not any("__pycache__" in name for name in names)


def test_pip_installs_it_with_its_command(wheel, tmp_path):
    path = tmp_path / wheel.filename
    path.write_bytes(wheel.content)
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target)]

    subprocess.run([*pip, str(path)], check=True, capture_output=True)

    assert (target / "bin" / "chutes").exists()
    asked = subprocess.run(
        [sys.executable, "-c", "import chutes; print(chutes.__version__, chutes.__file__)"],
        cwd=target, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert asked.stdout.split() == [chutes.__version__, str(target / "chutes" / "__init__.py")]
