"""The build context: files, digest, folder."""

import pytest

from chutes.build.containerfile import APP
from chutes.errors import BuildError

IMAGE = 'Image("acme", "search", tag="2.0")'


def own(context):
    return {name.removeprefix(f"{APP}/") for name in context.files if name.startswith(f"{APP}/")}


def of_recipe(context):
    return {name for name in context.files if not name.startswith(".chutes/")}


def test_it_holds_the_chute_and_the_framework(project):
    project.chute("import helpers")
    project.write("helpers.py")

    context = project.context()

    assert own(context) == {"app.py", "helpers.py"}
    assert any(name.startswith(".chutes/openchutes-") and name.endswith(".whl") for name in context.files)
    assert context.reference == "acme/search:latest"


def test_the_tag_is_the_images_own(project):
    project.chute(image=IMAGE)

    assert project.context().reference == "acme/search:2.0"


def test_files_of_the_recipe_keep_the_names_that_its_lines_use(project):
    project.chute(image=f'{IMAGE}.copy("data/*.txt", "/data/").add("prompts", "/prompts")')
    for name in ("data/a.txt", "data/b.txt", "data/c.bin", "prompts/x/y.md"):
        project.write(name)

    assert of_recipe(project.context()) == {"data/a.txt", "data/b.txt", "prompts/x/y.md"}


def test_excluded_and_ignored_files_stay_out(project):
    project.chute(image=f'{IMAGE}.copy("data", "/data", exclude=["**/*.tmp"])')
    for name in ("data/a.txt", "data/b.tmp", "data/secret.key"):
        project.write(name)
    project.write(".dockerignore", "**/*.key\n")

    assert of_recipe(project.context()) == {"data/a.txt"}


def test_another_folder_may_hold_the_files(project):
    project.chute(image=f'{IMAGE}.copy("weights.bin", "/w", build_dir="../models")')
    file = project.write("../models/weights.bin", "w")

    assert project.context().files["weights.bin"].resolve() == file.resolve()


def test_a_file_that_is_missing_is_named_with_its_folder(project):
    project.chute(image=f'{IMAGE}.copy("wieghts.bin", "/w")')

    with pytest.raises(BuildError, match=rf"'wieghts\.bin'.*{project.folder}"):
        project.context()


def test_a_source_of_which_nothing_is_left_is_refused(project):
    project.chute(image=f'{IMAGE}.copy("data", "/d")')
    project.write("data/a.txt")
    project.write(".dockerignore", "data\n")

    with pytest.raises(BuildError, match="ignored or excluded"):
        project.context()


def test_one_name_from_two_folders_is_refused(project):
    project.chute(image=f'{IMAGE}.copy("a.txt", "/x").copy("a.txt", "/y", build_dir="other")')
    project.write("a.txt")
    project.write("other/a.txt")

    with pytest.raises(BuildError, match=r"Two steps .* 'a\.txt'"):
        project.context()


def test_the_digest_follows_every_file_and_the_dockerfile(project):
    project.chute("import helpers")
    helpers = project.write("helpers.py", "X = 1\n")
    first = project.context().digest
    assert project.context().digest == first

    helpers.write_text("X = 2\n")
    second = project.context().digest
    helpers.chmod(0o755)
    third = project.context().digest
    project.write("requirements.txt", "numpy\n")

    assert len({first, second, third, project.context().digest}) == 4


def test_it_is_written_into_a_new_folder(project, tmp_path):
    project.chute()
    context = project.context()

    context.write(tmp_path / "out")

    written = {
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*") if path.is_file()
    }  # fmt: skip
    assert written == {"Dockerfile", *context.files}
    assert (tmp_path / "out" / "Dockerfile").read_text() == context.dockerfile
    assert (tmp_path / "out" / APP / "app.py").read_text() == (project.folder / "app.py").read_text()


def test_a_folder_with_files_is_left_alone(project, tmp_path):
    project.chute()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")

    with pytest.raises(BuildError, match="has files already"):
        project.context().write(tmp_path / "out")


def test_a_chute_with_a_model_leaves_the_engines_libraries_alone(project):
    project.write(
        "app.py",
        "from chutes.templates import build_vllm_chute\n"
        "chute = build_vllm_chute(username='acme', model_name='gpt2')\n"
        "own = build_vllm_chute(username='acme', model_name='gpt2', engine_python='/opt/vllm/bin/python')\n",
    )

    assert "CHUTES_ENGINE_PYTHON" in project.context("app.py:chute").dockerfile
    assert "CHUTES_ENGINE_PYTHON" not in project.context("app.py:own").dockerfile
