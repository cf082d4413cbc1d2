"""A chute's files as packages."""

import pytest

from chutes.build import make_context
from chutes.deploy.ray.packages import code_of, packages_of, secrets_package
from chutes.errors import DeployError
from chutes.loading import load


@pytest.fixture
def context(tmp_path):
    def make(requirements=None):
        (tmp_path / "app.py").write_text(
            "from chutes import Chute\nchute = Chute(username='me', name='hello', image='python:3.11')\n"
        )
        if requirements is not None:
            (tmp_path / "requirements.txt").write_text(requirements)
        return make_context(load(str(tmp_path / "app.py:chute")))

    return make


def test_the_same_files_have_the_same_name(context):
    first, second = packages_of(context()), packages_of(context())
    assert [one.uri for one in first] == [one.uri for one in second]
    assert first[0].content == second[0].content


def test_what_is_planned_is_what_is_sent(context):
    code, packages = code_of(context()), packages_of(context())
    assert [code.files, code.framework] == [one.uri for one in packages]


def test_each_line_of_the_requirements_is_one(context):
    text = "# what it needs\nnumpy>=2  # arrays\n\n--extra-index-url https://example.com\npillow==11.0 \\\n    --hash=sha256:0\n"
    code = code_of(context(text))
    assert code.requirements == (
        "numpy>=2", "--extra-index-url https://example.com", "pillow==11.0      --hash=sha256:0",
    )  # fmt: skip


@pytest.mark.parametrize("line", ["-r more.txt", "-e .", "./wheels/x.whl", "--constraint c.txt"])
def test_a_line_that_names_another_file_is_refused(context, line):
    with pytest.raises(DeployError, match="cannot follow the line"):
        code_of(context(f"numpy\n{line}\n"))


def test_the_name_of_secrets_tells_nothing_of_them():
    first, second = secrets_package({"A": "swordfish"}), secrets_package({"A": "swordfish"})
    assert first.uri != second.uri
    assert "swordfish" not in repr(first)
