import json
import re
from pathlib import Path

import pytest

from chutes.errors import DefinitionError
from chutes.image import Image

SHA = "sha256:" + "a" * 64


def image():
    return Image("me", "app")


def test_a_file_that_is_not_there_is_recorded_and_not_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (step,) = image().add("model.bin", "/models/").steps
    assert step.text == "ADD model.bin /models/"
    assert (step.sources, step.exclude, step.folder) == (("model.bin",), (), None)


def test_copy_keeps_what_add_would_unpack():
    (step,) = image().copy(Path("data.tar.gz"), "/data/").steps
    assert step.text == "COPY data.tar.gz /data/"
    assert step.sources == ("data.tar.gz",)


def test_owner_and_mode():
    text = image().add("run.sh", "/run.sh", chown="app:app", chmod="755").steps[0].text
    assert text == "ADD --chown=app:app --chmod=755 run.sh /run.sh"
    assert image().copy("a", "/a", chmod="0644").steps[0].text == "COPY --chmod=0644 a /a"


def test_excluded_files_are_recorded_for_the_build():
    (step,) = image().copy("src", "/app", exclude=["**/*.pyc", "notes"], build_dir="project").steps
    assert step.text == "COPY src /app"
    assert (step.exclude, step.folder) == (("**/*.pyc", "notes"), "project")


@pytest.mark.parametrize(
    ("source", "dest"),
    [("my model.bin", "/m/"), ("a", "/it's here"), ('a"b', "/b"), ("é", "/e"), ("a\\[b", "/c")],
)
def test_paths_with_odd_characters_are_written_as_a_list(source, dest):
    text = image().add(source, dest).steps[0].text
    words = json.loads(text.removeprefix("ADD "))
    assert [re.sub(r"\\(.)", r"\1", word) for word in words] == [source, dest]
    assert not any(re.search(r"(?<!\\)['\"]", word) for word in words)


def test_patterns_stay_patterns():
    assert image().copy("*.py", "/app/").steps[0].text == "COPY *.py /app/"


def test_an_absolute_source_is_written_from_the_folder_that_holds_it(tmp_path):
    (step,) = image().add(str(tmp_path / "sub" / "a.txt"), "/a.txt", build_dir=tmp_path).steps
    assert step.text == "ADD sub/a.txt /a.txt"
    assert (step.sources, step.folder) == (("sub/a.txt",), str(tmp_path))


@pytest.mark.parametrize("method", ["add", "copy"])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/etc/passwd", "is absolute"),
        ("../secret", "is outside of the folder"),
        ("a/../../b", "is outside of the folder"),
        ("--from=x", "Invalid source|is outside|starts"),
        ("", "Invalid source"),
        ("a\nRUN x", "Invalid source"),
        (None, "Invalid source"),
    ],
)
def test_a_source_outside_of_the_build_folder_is_refused(method, source, message):
    with pytest.raises(DefinitionError, match=message):
        getattr(image(), method)(source, "/x")


@pytest.mark.parametrize("dest", ["", "a\nb", None, " /x"])
def test_a_destination_is_a_path(dest):
    with pytest.raises(DefinitionError, match="Invalid dest"):
        image().add("a", dest)


def test_an_absolute_source_that_leaves_its_folder_is_refused(tmp_path):
    with pytest.raises(DefinitionError, match="is outside of the folder"):
        image().add(f"{tmp_path}/../secret", "/x", build_dir=tmp_path)
    with pytest.raises(DefinitionError, match="is absolute"):
        image().add(f"{tmp_path}-other/a", "/x", build_dir=tmp_path)


def test_a_url_can_be_added_with_its_checksum():
    (step,) = image().add("https://h/m.bin", "/m.bin", checksum=SHA, chmod="644").steps
    assert step.text == f"ADD --checksum={SHA} --chmod=644 https://h/m.bin /m.bin"
    assert step.sources == ()


def test_a_repository_can_be_added_with_its_history():
    (step,) = image().add("https://h/r.git#main", "/r", keep_git_dir=True).steps
    assert step.text == 'ADD --keep-git-dir=true ["https://h/r.git#main", "/r"]'


@pytest.mark.parametrize("options", [{"checksum": SHA}, {"keep_git_dir": True}])
def test_options_of_urls_are_refused_for_files(options):
    with pytest.raises(DefinitionError, match="are for URLs"):
        image().add("a", "/a", **options)


@pytest.mark.parametrize("checksum", ["md5:1", "sha256:12", "", 5])
def test_a_checksum_names_its_algorithm(checksum):
    with pytest.raises(DefinitionError, match="Invalid checksum"):
        image().add("https://h/a", "/a", checksum=checksum)


def test_copy_refuses_a_url_and_names_add():
    with pytest.raises(DefinitionError, match=r"Use add\(\)"):
        image().copy("https://h/a", "/a")


@pytest.mark.parametrize(
    "options", [{"chmod": 755}, {"chmod": "rwx"}, {"chmod": "999"}, {"chown": "a b"}, {"chown": 5}]
)
def test_owner_and_mode_have_their_forms(options):
    with pytest.raises(DefinitionError, match=f"Invalid {next(iter(options))}"):
        image().copy("a", "/a", **options)


def test_one_excluded_pattern_needs_no_list():
    assert image().copy("a", "/a", exclude="*.pyc").steps[0].exclude == ("*.pyc",)


@pytest.mark.parametrize("exclude", [[5], 5, [], ["a\nb"]])
def test_exclude_is_a_list_of_patterns(exclude):
    with pytest.raises(DefinitionError, match="exclude"):
        image().copy("a", "/a", exclude=exclude)
