import pytest

from chutes.errors import DefinitionError
from chutes.image import Image


def image():
    return Image("me", "app")


@pytest.mark.parametrize(
    "packages",
    [("git", "curl"), (["git", "curl"],), ("git curl",), (("git", "curl"),), ("git", ["curl"])],
)
def test_debian_packages_come_one_by_one_or_as_lists(packages):
    assert image().apt_install(*packages).steps[0].text == (
        "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y git curl"
        " && rm -rf /var/lib/apt/lists/*"
    )


@pytest.mark.parametrize(
    "package",
    [
        "g++",
        "libstdc++6",
        "python3.11",
        "x=1.2",
        "git=1:2.39.5-0+deb12u2",
        "libc6:amd64",
        "nginx/bookworm-backports",
    ],
)
def test_every_name_that_apt_takes_is_taken(package):
    assert f" {package} " in image().apt_install(package).steps[0].text


def test_a_pattern_is_left_to_apt_and_not_to_the_shell():
    assert image().apt_remove("python3.*").steps[0].text == "RUN apt-get remove -y 'python3.*'"


@pytest.mark.parametrize("package", ["-y", "git;id", "$(id)", "", " ", "../x.deb", "a\nb", 5, None])
def test_what_is_no_debian_package_is_refused(package):
    with pytest.raises(DefinitionError):
        image().apt_install(package)
    with pytest.raises(DefinitionError):
        image().apt_remove([package])


@pytest.mark.parametrize("method", ["apt_install", "apt_remove", "pip_install", "with_entrypoint"])
def test_nothing_to_install_is_a_mistake(method):
    with pytest.raises(DefinitionError, match=rf"{method}\(\) got nothing"):
        getattr(image(), method)([])


def test_requirements_are_quoted():
    text = (
        image().pip_install("torch>=2.4", ["numpy", "uvicorn[standard]"], "x @ https://h/x.whl").steps[0].text
    )
    assert text == (
        "RUN pip install --no-cache-dir 'torch>=2.4' numpy 'uvicorn[standard]' 'x @ https://h/x.whl'"
    )


def test_another_index_can_be_named():
    text = (
        image().pip_install("torch", index_url="https://h/a&b", extra_index_url="https://h/c").steps[0].text
    )
    assert (
        text
        == "RUN pip install --no-cache-dir --index-url 'https://h/a&b' --extra-index-url https://h/c torch"
    )


@pytest.mark.parametrize(
    "requirement",
    [
        "torch >= 2, < 3",
        "x ; python_version < '3.12' and os_name == 'posix'",
        "a [extra] >= 1",
        "git+https://h/r.git",
    ],
)
def test_blanks_inside_of_one_requirement_are_fine(requirement):
    assert requirement in image().pip_install(requirement).steps[0].text.replace("'\"'\"'", "'")


@pytest.mark.parametrize("package", ["torch numpy", "torch==2.4 numpy", "a[b] c"])
def test_two_packages_in_one_text_are_refused(package):
    with pytest.raises(DefinitionError, match="Pass each one by itself"):
        image().pip_install(package)


@pytest.mark.parametrize("package", ["-r requirements.txt", "--pre", "", " ", "a\nb", 5])
def test_options_and_nothing_are_no_packages(package):
    with pytest.raises(DefinitionError, match="pip_install"):
        image().pip_install(package)


def test_a_python_version_chooses_the_default_base():
    assert str(image().with_python("3.12")) == "FROM python:3.12-slim"
    assert image().with_python("3.12").steps == ()


@pytest.mark.parametrize("first", ["from_base", "with_python"])
def test_a_python_version_is_installed_on_a_base_of_ones_own_whichever_is_said_first(first):
    written = image()
    calls = {"from_base": "ubuntu:24.04", "with_python": "3.12"}
    for method in sorted(calls, key=lambda name: name != first):
        getattr(written, method)(calls[method])
    lines = str(written.set_user("app")).split("\n")
    assert lines[0] == "FROM ubuntu:24.04"
    assert lines[-2:] == ["RUN uv venv --seed --managed-python --python 3.12 /opt/venv", "USER app"]
    assert "PATH=/opt/venv/bin:$PATH" in str(written)


@pytest.mark.parametrize("version", ["3", "python3.12", "3.12; id", 3.12, None, ""])
def test_a_python_version_is_two_or_three_numbers(version):
    with pytest.raises(DefinitionError, match="Invalid Python version"):
        image().with_python(version)


def test_python_is_chosen_once():
    with pytest.raises(DefinitionError, match=r"the image has Python 3\.12 already"):
        image().with_python("3.12").with_python("3.13")
