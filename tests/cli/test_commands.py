"""The command line as a whole: help, version, exit codes, and what it imports."""

import inspect
import json
import subprocess
import sys

import pytest
import typer

import chutes
from chutes.cli.commands import COMMANDS, Commands, application

PROBE = """
import json, sys
from chutes.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported_by(*words):
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules)


def test_the_version_is_the_package_s(cli):
    result = cli("--version")

    assert (result.exit_code, result.output) == (0, f"chutes {chutes.__version__}\n")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(cli, words):
    result = cli(*words)

    assert result.exit_code == 0
    for name, summary in COMMANDS.items():
        assert name in result.output
        assert summary in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name):
    group = typer.main.get_command(application())
    assert isinstance(group, Commands)
    context = typer.Context(group)

    command = group.get_command(context, name)

    assert command.name == name
    assert inspect.cleandoc(command.help).partition("\n")[0] == COMMANDS[name]


def test_help_imports_no_server_and_no_client():
    code, modules = imported_by("--help")

    assert code == 0
    heavy = {
        "fastapi",
        "starlette",
        "pydantic",
        "uvicorn",
        "httpx2",
        "watchfiles",
        "prometheus_client",
        "asyncio",
    }
    assert not heavy & modules


def test_a_command_imports_only_what_it_needs(tmp_path):
    _, modules = imported_by("keys", "new")

    assert "uvicorn" not in modules
    assert "chutes.client" not in modules


@pytest.mark.parametrize(
    "words", [("serve",), ("run",), ("run", "app.py", "--prot", "1"), ("run", "app.py", "--port", "x")]
)
def test_bad_usage_ends_with_2(cli, words):
    result = cli(*words)

    assert result.exit_code == 2
    assert "chutes" in result.stderr
    assert result.stdout == ""


def test_python_m_chutes_is_the_same_program(shell):
    assert shell.run("--version") == (0, f"chutes {chutes.__version__}\n", "")


def test_a_reader_that_leaves_ends_the_command_quietly(shell):
    shell.write("app.py")
    process = shell.popen("show", "app.py", "--json")
    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait() == 1
    process.stderr.close()


def test_ctrl_c_ends_a_command_quietly(shell):
    shell.write(
        "app.py", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(30)"
    )

    assert shell.run("show", "app.py") == (130, "", "")
