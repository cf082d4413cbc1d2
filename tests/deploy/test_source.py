"""The same file is the same source wherever it was cloned, and no login is part of it."""

import subprocess

import pytest

from chutes.deploy.source import source_of


def git(folder, *words):
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def clone(folder, remote, name="origin"):
    folder.mkdir(parents=True)
    git(folder, "init")
    if remote:
        git(folder, "remote", "add", name, remote)
    file = folder / "services" / "app.py"
    file.parent.mkdir()
    file.touch()
    return file


@pytest.mark.parametrize(
    "remote",
    [
        "https://git.example.com/team/models.git",
        "https://somebody:t0ken@git.example.com/team/models",
        "https://oauth2:p%40ss@GIT.example.com/team/models.git/",
        "ssh://git@git.example.com/team/models.git",
        "git@git.example.com:team/models.git",
        "https://git.example.com/team/models.git?token=t0ken",
    ],
)
def test_a_file_in_a_repository_is_named_by_its_remote(tmp_path, remote):
    assert source_of(clone(tmp_path / "here", remote)) == "git.example.com/team/models:services/app.py"


def test_two_clones_hold_the_same_source(tmp_path):
    files = [clone(tmp_path / name, "git@git.example.com:team/models.git") for name in ("one", "two")]

    assert source_of(files[0]) == source_of(files[1])


def test_the_only_remote_counts_whatever_it_is_called(tmp_path):
    file = clone(tmp_path / "here", "git@git.example.com:team/models.git", name="upstream")

    assert source_of(file) == "git.example.com/team/models:services/app.py"


def test_a_repository_without_a_remote_is_known_by_the_path(tmp_path):
    file = clone(tmp_path / "here", None)

    assert source_of(file) == str(file)


def test_a_file_in_no_repository_is_known_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").touch()

    assert source_of(tmp_path / "." / "app.py") == str(tmp_path / "app.py")


def test_without_git_a_file_is_known_by_its_path(tmp_path, monkeypatch):
    file = clone(tmp_path / "here", "git@git.example.com:team/models.git")
    monkeypatch.setenv("PATH", "")

    assert source_of(file) == str(file)
