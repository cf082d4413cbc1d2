"""`chutes deploy` and its like, on a platform in memory."""

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chutes.testing import FakeContainerTool, FakePlatform

APP = """
import torch_that_is_not_here
from chutes import Chute

print("the file speaks while it is loaded")
chute = Chute(username="me", name="hello", image="python:3.11", max_instances=4)
"""


@pytest.fixture
def platform(monkeypatch):
    fake = FakePlatform()
    monkeypatch.setattr("chutes.cli.platform_options.find_platform", lambda *_: fake)
    monkeypatch.setattr("chutes.cli.deploy.can_run_containers", lambda *_: True)
    return fake


@pytest.fixture
def tool(monkeypatch):
    fake = FakeContainerTool()
    monkeypatch.setattr("chutes.cli.deploy_image.find_tool", lambda *_: fake)
    return fake


@pytest.fixture
def app(cli):
    return cli.write("app.py", APP)


def failed(result, code, *texts):
    """The command ended with this code, and one line that says all of this."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    line = next(line for line in result.stderr.splitlines() if line.startswith("Error:"))
    for text in texts:
        assert text in line
    return True


def test_a_deploy_builds_the_image_and_prints_the_address(cli, app, platform, tool):
    result = cli("deploy", "app.py")

    assert (result.exit_code, result.stdout) == (0, "http://127.0.0.1:8000\n")
    assert "Revision 1 of me/hello is ready." in result.stderr
    plan = platform.running["me/hello"].plan
    assert plan.image == tool.orders[0].references[-1]
    assert (plan.target, plan.source, len(plan.digest)) == ("app.py:chute", str(app), 64)


def test_nothing_changes_when_nothing_has_changed(cli, app, platform, tool):
    cli("deploy", "app.py")

    result = cli("deploy", "app.py")

    assert (result.exit_code, result.stdout) == (0, "http://127.0.0.1:8000\n")
    assert "Nothing to do" in result.stderr
    assert (len(tool.orders), platform.running["me/hello"].current) == (1, 1)


def test_an_image_that_is_named_is_not_built(cli, app, platform, tool):
    assert cli("deploy", "app.py", "--image", "mine:1").exit_code == 0

    assert platform.running["me/hello"].plan.image == "mine:1"
    assert not tool.orders


def test_what_is_asked_for_stands_in_the_plan(cli, app, platform, tool, monkeypatch):
    monkeypatch.setenv("REGION", "north")
    (cli.folder / "vars.env").write_text("# ours\nexport COLOUR='light blue'\nA=from file\n\n")

    words = [
        "--env",
        "A=1",
        "-e",
        "REGION",
        "--env-file",
        "vars.env",
        "--instances",
        "2",
        "--min-instances",
        "1",
    ]
    assert cli("deploy", "app.py", *words).exit_code == 0

    plan = platform.running["me/hello"].plan
    assert dict(plan.environment) == {"A": "1", "REGION": "north", "COLOUR": "light blue"}
    assert (plan.instances, plan.min_instances, plan.max_instances) == (2, 1, 4)


def test_a_cluster_wants_a_registry(cli, app, platform, tool):
    assert failed(cli("deploy", "app.py", "--to", "kubernetes"), 2, "--registry registry.example.com/team")
    assert not tool.orders


@pytest.mark.parametrize("by", ["option", "setting"])
def test_a_registry_gets_the_image(cli, app, platform, tool, monkeypatch, by):
    words = ["--registry", "registry.example.com/team/"]
    if by == "setting":
        monkeypatch.setenv("CHUTES_REGISTRY", words.pop())
        words.clear()

    assert cli("deploy", "app.py", "--to", "kubernetes", *words).exit_code == 0

    plan = platform.running["me/hello"].plan
    assert plan.image.startswith("registry.example.com/team/me/hello:")
    assert plan.image in tool.pushed


def test_ray_gets_the_files_and_no_image(cli, app, platform, tool):
    assert cli("deploy", "app.py", "--to", "ray").exit_code == 0

    plan = platform.running["me/hello"].plan
    assert (plan.image, len(plan.digest)) == ("", 64)
    assert not tool.orders


def test_another_file_of_the_same_name_is_refused_before_anything_is_built(cli, app, platform, tool):
    cli("deploy", "app.py")
    cli.write("other.py", APP)

    assert failed(cli("deploy", "other.py"), 1, "me/hello", str(app), "--replace")
    assert len(tool.orders) == 1
    assert cli("deploy", "other.py", "--replace").exit_code == 0


def test_missing_secrets_are_refused_before_anything_is_built(cli, app, platform, tool):
    result = cli("deploy", "app.py", "--secret", "ONE_KEY", "--secret", "OTHER_KEY")

    assert failed(result, 1, "ONE_KEY, OTHER_KEY")
    assert not tool.orders


def test_a_deploy_that_gets_not_ready_ends_with_what_the_platform_said(cli, app, platform, tool):
    platform.refusal = "It ended with code 3: no such model"

    result = cli("deploy", "app.py")

    assert failed(result, 1, "no such model")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--env", "1A=2"], "Invalid name '1A'"),
        (["--env", "A-B"], "Invalid name 'A-B'"),
        (["--env", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set here"),
        (["--env", "CHUTES_PORT=1"], "the platform sets it"),
        (["--env-file", "gone.env"], "gone.env"),
        (["--secret", "A B"], "Invalid name 'A B'"),
        (["--secret", "TOKEN="], "behind the '='"),
        (["--secret", "TOKEN=t0ken"], "is the path of a file"),
        (["--env", "TOKEN=1", "--secret", "TOKEN"], "Choose one"),
    ],
)
def test_variables_that_cannot_be_are_refused(cli, app, platform, tool, words, text):
    result = cli("deploy", "app.py", *words)

    assert failed(result, 2, text)
    assert "t0ken" not in result.output


@pytest.mark.parametrize("words", [["--to", "kubernets"], []])
def test_an_unknown_platform_is_refused(cli, app, monkeypatch, words):
    monkeypatch.setenv("CHUTES_DEPLOY_TO", "kubernets")

    assert failed(cli("deploy", "app.py", *words), 1, "Did you mean 'kubernetes'?")
    assert failed(cli("list", *words), 1, "local, kubernetes, ray")


@pytest.mark.parametrize(
    ("words", "owner"),
    [(("--namespace", "a"), "kubernetes"), (("--address", "http://x"), "ray")],
)
def test_an_option_of_another_platform_is_refused(cli, words, owner):
    assert failed(cli("list", "--to", "local", *words), 1, f"{words[0]} belongs to --to {owner}")


def test_a_variable_that_looks_like_a_secret_gets_a_hint_and_is_not_printed(cli, app, platform, tool):
    result = cli("deploy", "app.py", "--env", "MY_API_KEY=t0ken", "--dry-run")

    assert "--secret MY_API_KEY" in result.stderr
    assert "MY_API_KEY=..." in result.stdout


@pytest.mark.parametrize("where", ["local", "kubernetes", "ray"])
def test_a_dry_run_prints_the_plan_and_what_the_platform_gets(cli, app, where):
    words = ["--to", where, "--env", "COLOUR=blue", "--secret", "HF_TOKEN", "--registry", "r.example.com"]

    result = cli("deploy", "app.py", "--dry-run", *words)

    assert result.exit_code == 0, result.output
    for text in ("me/hello", "COLOUR=blue", "HF_TOKEN (from the environment)", "0 to 4"):
        assert text in result.stdout
    assert "No value here for HF_TOKEN" in result.stderr
    assert "the file speaks" not in result.stdout


def test_without_a_container_tool_a_unit_of_systemd_is_printed(cli, app, monkeypatch):
    monkeypatch.setenv("PATH", "")

    result = cli("deploy", "app.py", "--port", "8123")

    assert result.exit_code == 1
    assert "[Service]" in result.stdout
    assert f'"{app}:chute"' in result.stdout
    assert sys.executable in result.stdout
    assert "systemctl enable --now chutes-me-hello" in result.stderr


def test_a_list_has_a_line_for_each_chute(cli, app, platform, tool):
    cli("deploy", "app.py", "--instances", "2")

    result = cli("list")

    heading, line = result.stdout.splitlines()
    assert heading.split() == ["Chute", "ready", "revision", "deployed", "address"]
    assert line.split()[:5] == ["me/hello", "2", "of", "2", "1"]


def test_an_empty_list_says_what_to_do(cli, platform):
    result = cli("list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "chutes deploy app.py" in result.stderr


def test_status_shows_instances_and_revisions(cli, app, platform, tool):
    cli("deploy", "app.py", "--instances", "1")
    cli("scale", "hello", "3")

    result = cli("status", "hello")

    assert result.exit_code == 0
    assert "hello-2-2" in result.stdout
    assert "2 (current)" in result.stdout
    assert "scale to 3" in result.stdout


def test_list_and_status_print_json(cli, app, platform, tool):
    cli("deploy", "app.py")

    listed = json.loads(cli("list", "--json").stdout)
    shown = json.loads(cli("status", "hello", "--json").stdout)

    assert listed == [shown]
    assert (shown["chute"], shown["current"], shown["revisions"][0]["outcome"]) == ("me/hello", 1, "ready")


def test_logs_print_the_last_lines(cli, app, platform, tool):
    cli("deploy", "app.py")
    platform.lines["me/hello"] = ["one", "two", "three"]

    assert cli("logs", "hello", "-n", "2").stdout == "two\nthree\n"


def test_scaling_says_what_holds(cli, app, platform, tool):
    cli("deploy", "app.py")

    assert "me/hello runs at 3." in cli("scale", "hello", "3").stderr
    assert "already" in cli("scale", "hello", "3").stderr
    assert "as the load asks for" in cli("scale", "hello", "auto").stderr
    assert failed(cli("scale", "hello", "many"), 2, "'many'", "auto")
    assert failed(cli("scale", "helo", "2"), 1, "Did you mean 'hello'?")


def test_going_back_says_what_runs(cli, app, platform, tool):
    cli("deploy", "app.py")
    cli("deploy", "app.py", "--env", "A=1")

    assert "as revision 3" in cli("rollback", "hello").stderr
    assert not platform.running["me/hello"].plan.environment
    assert "as revision 4" in cli("rollback", "hello", "2").stderr
    assert failed(cli("rollback", "hello", "9"), 1, "no revision 9")
    assert failed(cli("rollback", "hello", "--to", "2"), 2, "chutes rollback hello 2")


def test_a_chute_is_deleted_by_who_is_sure(cli, app, platform, tool):
    cli("deploy", "app.py")

    assert failed(cli("delete", "hello"), 2, "--yes")
    assert cli("delete", "hello", "--yes").exit_code == 0
    assert not platform.running


@pytest.mark.parametrize("command", [["status"], ["logs"], ["scale", "2"], ["rollback"], ["delete", "--yes"]])
def test_an_unknown_name_is_refused(cli, platform, command):
    assert failed(cli(command[0], "hello", *command[1:]), 1, "No chute 'hello' runs here")


VALUES = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=8, max_size=40)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.booleans())
def test_the_value_of_a_secret_is_never_printed(cli, app, platform, tool, monkeypatch, value, by_file):
    platform.running.clear()
    monkeypatch.setenv("MY_TOKEN", f"hush{value}")
    (cli.folder / "token").write_text(f"hush{value}\n")
    secret = "MY_TOKEN=token" if by_file else "MY_TOKEN"
    commands = [
        ("deploy", "app.py", "--secret", secret),
        *(
            (
                "deploy",
                "app.py",
                "--secret",
                secret,
                "--registry",
                "r.example.com",
                "--dry-run",
                "--to",
                where,
            )
            for where in ("local", "kubernetes", "ray")
        ),
        ("list", "--json"),
        ("status", "hello"),
        ("status", "hello", "--json"),
    ]

    for command in commands:
        result = cli(*command)
        assert result.exit_code == 0, result.output
        assert f"hush{value}" not in result.output
