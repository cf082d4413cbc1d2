"""References: which file they mean, found without running any code."""

import sys

import pytest

from chutes.errors import LoadError
from chutes.loading import locate


def test_a_module_is_found_in_the_working_folder(project):
    file = project.write("app.py")

    place = locate("app:chute")

    assert (place.module, place.attribute, place.file) == ("app", "chute", file)
    assert place.search_path == (project.folder,)


def test_the_attribute_may_be_left_out(project):
    project.write("app.py")

    assert locate("app").attribute is None
    assert locate("app.py").attribute is None


def test_a_file_is_found_by_its_path_from_any_folder(project):
    file = project.write("services/speech/app.py")

    place = locate("services/speech/app.py:chute")

    assert (place.module, place.file) == ("app", file)
    assert place.search_path == (file.parent, project.folder)
    assert locate(f"{file}:chute").file == file


def test_a_module_of_a_package_is_found_and_the_package_is_not_run(project):
    project.write("company/__init__.py", "raise RuntimeError('ran')", chute=None)
    file = project.write("company/app.py")

    assert locate("company.app:chute").file == file
    assert "company" not in sys.modules


def test_a_file_of_a_package_keeps_its_dotted_name(project):
    project.write("company/__init__.py", chute=None)
    project.write("company/speech/__init__.py", chute=None)
    file = project.write("company/speech/app.py")

    place = locate("company/speech/app.py")

    assert place.module == "company.speech.app"
    assert place.search_path == (file.parent, project.folder)


def test_a_package_may_hold_the_chute_itself(project):
    file = project.write("company/__init__.py")

    assert locate("company:chute").file == file
    assert locate("company/__init__.py").module == "company"


@pytest.mark.parametrize("name", ["app.py", "company/app.py", "company/speech/app.py", "company/__init__.py"])
def test_the_root_is_where_the_name_of_the_module_starts(project, name):
    for package in ("company", "company/speech"):
        project.write(f"{package}/__init__.py", chute=None)
    project.write(name)

    assert locate(name).root == project.folder


@pytest.mark.parametrize(
    "reference", ["", ":chute", "app:", "app:a b", "app::chute", "app:chute:x", "a pp", "-x"]
)
def test_a_malformed_reference_is_shown_with_a_good_one(project, reference):
    with pytest.raises(LoadError, match="Invalid reference") as caught:
        locate(reference)

    assert repr(reference) in str(caught.value)
    assert "for example app" in str(caught.value)


def test_an_unknown_module_proposes_a_file_of_the_folder(project):
    project.write("server.py")

    with pytest.raises(LoadError, match=r"There is no module 'srver' in '.*'\. Did you mean 'server'\?"):
        locate("srver:chute")


def test_an_unknown_file_proposes_one_beside_it(project):
    project.write("server.py")

    with pytest.raises(LoadError, match=r"There is no file 'sever\.py'\. Did you mean 'server\.py'\?"):
        locate("sever.py")


def test_an_unknown_folder_is_told(project):
    with pytest.raises(LoadError, match=r"There is no file 'no/app\.py'\. Nor is there a folder"):
        locate("no/app.py")


def test_a_dot_in_place_of_the_colon_is_told(project):
    project.write("app.py")

    with pytest.raises(LoadError, match="Write a colon before the name of the chute: app:chute"):
        locate("app.chute")


@pytest.mark.parametrize("reference", [".", "services", "services/"])
def test_a_folder_asks_for_a_file_in_it(project, reference):
    (project.folder / "services").mkdir()

    with pytest.raises(LoadError, match=r"is a folder\. Name the file in it"):
        locate(reference)


def test_a_file_that_is_no_python_is_refused(project):
    (project.folder / "app.txt").write_text("")

    with pytest.raises(LoadError, match=r"no Python file\. Its name has to end with \.py"):
        locate("./app.txt")


def test_a_module_without_a_file_is_refused():
    with pytest.raises(LoadError, match="'sys' has no file of its own"):
        locate("sys")


def test_a_folder_without_init_names_a_module_in_it(project):
    project.write("services/speech/app.py")

    with pytest.raises(LoadError, match=r"Name a module in it, for example services\.speech\.app"):
        locate("services.speech")
