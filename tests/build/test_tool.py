"""The container tools' command lines, read back from programs that stand in their place."""

import shlex
import stat

import pytest

from chutes.build import BuildOrder, find_tool
from chutes.errors import BuildError

PROGRAM = """#!/bin/sh
echo "$0" "$@" >> "$(dirname "$0")/calls"
echo said by the tool
case "$1" in image|inspect) echo {label} ;; esac
exit {code}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put programs of these names on an otherwise usual path."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def program(name, code=0, label="abc"):
        path = folder / name
        path.write_text(PROGRAM.format(code=code, label=label))
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    program.folder = folder
    program.calls = lambda: [shlex.split(line)[1:] for line in (folder / "calls").read_text().splitlines()]
    return program


def find(install, wanted=None, shown=None):
    return find_tool(wanted, (shown if shown is not None else []).append, path=str(install.folder))


def order(tmp_path, **options):
    return BuildOrder(context=tmp_path, references=["a/b:1", "a/b:d"], digest="d", **options)


def test_podman_is_taken_before_docker_and_buildah(install):
    for name in ("buildah", "docker", "podman"):
        install(name)
        assert find(install).name == name


def test_the_wanted_one_is_taken(install):
    install("podman")
    install("docker")

    assert find(install, "docker").name == "docker"
    assert find(install, str(install.folder / "docker")).name == "docker"


def test_without_any_the_error_says_what_to_do(install):
    with pytest.raises(BuildError, match=r"apt install podman.*--context DIR"):
        find(install)


@pytest.mark.parametrize(
    ("wanted", "advice"), [("dokcer", "Did you mean 'docker'"), ("podman", "Install podman")]
)
def test_one_that_is_not_there_is_refused(install, wanted, advice):
    with pytest.raises(BuildError, match=advice):
        find(install, wanted)


@pytest.mark.parametrize("name", ["podman", "docker", "buildah"])
def test_a_build_is_one_command_that_is_shown(install, tmp_path, name):
    install(name)
    shown = []

    find(install, shown=shown).build(
        order(
            tmp_path,
            platform="linux/arm64",
            secrets=["id=t,src=t.txt"],
            use_cache=False,
            arguments=["--pull"],
        )
    )

    (called,) = install.calls()
    form = [] if name == "docker" else ["--format", "docker"]
    assert called == [
        "build", *form, "--tag", "a/b:1", "--tag", "a/b:d", "--label", "chutes.digest=d", "--platform", "linux/arm64",
        "--secret", "id=t,src=t.txt", "--no-cache", "--pull", str(tmp_path),
    ]  # fmt: skip
    assert shown == [shlex.join([name, *called])]


def test_what_the_tool_says_goes_to_the_standard_error(install, tmp_path, capfd):
    install("podman")

    find(install).build(order(tmp_path))

    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "said by the tool\n")


def test_a_failure_is_an_error_with_its_code(install, tmp_path):
    install("podman", code=125)

    with pytest.raises(BuildError, match="podman build ended with exit code 125"):
        find(install).build(order(tmp_path))


@pytest.mark.parametrize("name", ["podman", "docker", "buildah"])
@pytest.mark.parametrize(
    ("code", "label", "digest"),
    [(0, "abc", "abc"), (0, '"<no value>"', None), (1, "abc", None), (0, '""', None)],
)
def test_the_digest_is_a_label_of_the_image(install, name, code, label, digest):
    install(name, code=code, label=label)
    # What the program says of anything else is no label.
    (install.folder / name).write_text(
        (install.folder / name).read_text().replace("echo said by the tool\n", "")
    )

    assert find(install).digest_of("a/b:1") == digest
