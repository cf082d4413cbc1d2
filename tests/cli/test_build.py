"""`chutes build`: what it prints, and what it refuses."""

import pytest

APP = """
import torch_that_is_not_here
from chutes import Chute

print("the file speaks while it is loaded")
chute = Chute(username="me", name="hello", image="python:3.11")
"""


@pytest.fixture
def app(cli):
    return cli.write("app.py", APP)


def test_a_dry_run_prints_a_dockerfile_and_the_files(cli, app):
    result = cli("build", "app.py", "--dry-run", "--tag", "mine:1")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("# mine:1, mine:")
    assert f"# .chutes/app/app.py  from {app}" in lines
    assert "FROM python:3.11" in lines
    assert "torch_that_is_not_here" in result.stderr


def test_the_context_can_be_written_without_any_tool(cli, app, monkeypatch):
    monkeypatch.setenv("PATH", "")

    result = cli("build", "app.py", "--context", "out")

    assert result.exit_code == 0
    assert (cli.folder / "out" / "Dockerfile").read_text().startswith("FROM python:3.11")
    assert "docker build --tag me/hello:latest out" in result.stderr


def test_without_a_tool_one_line_says_what_to_install(cli, app, monkeypatch):
    monkeypatch.setenv("PATH", "")

    result = cli("build", "app.py")

    assert result.exit_code == 1
    assert "apt install podman" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("secret", ["token.txt", "id=token,src=missing.txt"])
def test_a_secret_that_cannot_be_is_refused(cli, app, secret):
    result = cli("build", "app.py", "--secret", secret)

    assert result.exit_code == 2
    assert secret in result.stderr


def test_the_tool_of_the_variable_is_taken(cli, app, monkeypatch):
    monkeypatch.setenv("CHUTES_CONTAINER_TOOL", "nerdctl")

    result = cli("build", "app.py")

    assert result.exit_code == 1
    assert "nerdctl" in result.stderr
