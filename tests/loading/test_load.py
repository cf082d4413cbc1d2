"""Loading: from a reference to the chute in its module."""

import pickle
import sys
from pathlib import Path

import pytest

from chutes.chute import Chute
from chutes.errors import DefinitionError, LoadError
from chutes.loading import load, load_chute

CHUTE = 'Chute(username="me", name="app", image="python:3.11")'


@pytest.mark.parametrize("reference", ["app:chute", "app", "app.py:chute", "app.py", "./app.py"])
def test_every_form_of_reference_leads_to_the_chute(project, reference):
    project.write("app.py")

    chute = load_chute(reference)

    assert isinstance(chute, Chute)
    assert chute is sys.modules["app"].chute


def test_the_chute_may_have_any_name(project):
    project.write("app.py", chute="speech")

    loaded = load("app.py")

    assert loaded.name == "speech"
    assert loaded.chute.config.name == "app"


def test_the_chute_may_be_inside_something(project):
    project.write("app.py", f"class Services:\n    speech = {CHUTE}")

    assert load_chute("app:Services.speech") is sys.modules["app"].Services.speech


def test_a_file_imports_the_files_beside_it_and_those_of_the_working_folder(project):
    project.write("shared_words.py", "WORD = 'a'", chute=None)
    project.write("speech/sound_words.py", "WORD = 'b'", chute=None)
    project.write(
        "speech/app.py", "import shared_words, sound_words\nwords = shared_words.WORD + sound_words.WORD"
    )

    load_chute("speech/app.py")

    assert sys.modules["app"].words == "ab"


def test_the_folder_of_the_file_comes_first_as_with_python_itself(project):
    project.write("which_one.py", "PLACE = 'working folder'", chute=None)
    project.write("speech/which_one.py", "PLACE = 'beside'", chute=None)
    project.write("speech/app.py", "from which_one import PLACE")

    load_chute("speech/app.py")

    assert sys.modules["app"].PLACE == "beside"
    assert sys.path[:2] == [str(project.folder / "speech"), str(project.folder)]


def test_relative_imports_work_in_a_package(project):
    project.write("company/__init__.py", chute=None)
    project.write("company/words.py", "WORD = 'a'", chute=None)
    project.write("company/app.py", "from .words import WORD\nfrom company import words")

    assert load_chute("company/app.py") is load_chute("company.app:chute")
    assert sys.modules["company"].app is sys.modules["company.app"]


def test_what_the_module_defines_can_be_pickled(project):
    project.write("app.py", "class Item: pass\nassert __name__ != '__main__'")
    load_chute("app.py")
    item = sys.modules["app"].Item()

    assert isinstance(pickle.loads(pickle.dumps(item)), sys.modules["app"].Item)


def test_a_second_load_returns_the_same_chute(project):
    project.write("app.py")

    assert load_chute("app.py") is load_chute("app:chute")


def test_a_file_of_the_same_name_in_another_folder_is_another_module(project):
    project.write("one/app.py", "WHERE = 1")
    project.write("two/app.py", "WHERE = 2")

    assert load_chute("one/app.py") is not load_chute("two/app.py")
    assert sys.modules["app"].WHERE == 2


def test_a_file_named_as_the_library_that_it_imports_is_told(project):
    project.write("chutes.py")

    with pytest.raises(LoadError, match=r"'chutes\.py' has the name of the library 'chutes'\. Rename it"):
        load_chute("chutes.py")


def test_a_file_whose_name_is_no_identifier_loads(project):
    project.write("my-app.v2.py")

    assert isinstance(load_chute("my-app.v2.py"), Chute)


def test_a_module_that_failed_can_be_loaded_once_it_is_mended(project):
    project.write("app.py", "raise ValueError('not yet')")
    with pytest.raises(LoadError):
        load_chute("app.py")
    project.write("app.py", "READY = 'now it is ready'")

    assert isinstance(load_chute("app.py"), Chute)


def test_several_chutes_ask_for_a_name(project):
    project.write("app.py", f"speech = {CHUTE}", chute="vision")

    with pytest.raises(LoadError, match=r"has 2 chutes\. Name one of them: app\.py:speech, app\.py:vision"):
        load_chute("app.py")


def test_one_chute_under_two_names_is_one(project):
    project.write("app.py", f"app = {CHUTE}", chute="chute")
    project.write("other.py", "from app import app\nserver = app", chute=None)

    assert load("other.py").name == "app"


def test_a_file_without_a_chute_shows_what_one_looks_like(project):
    project.write("app.py", "x = 1", chute=None)

    with pytest.raises(
        LoadError, match=r'app\.py has no chute\. Make one in it, for example chute = Chute\(username="me"'
    ):
        load_chute("app.py")


def test_a_misspelt_attribute_is_told(project):
    project.write("app.py")

    with pytest.raises(LoadError, match=r"app\.py has no 'chut'\. Did you mean 'chute'\?"):
        load_chute("app:chut")


def test_an_attribute_like_no_other_gets_the_list_of_chutes(project):
    project.write("app.py", chute="speech")
    project.write("empty.py", chute=None)

    with pytest.raises(LoadError, match=r"app\.py has no 'x'\. Its chutes: speech\."):
        load_chute("app:x")
    with pytest.raises(LoadError, match=r"empty\.py has no 'x'\. It has no chute at all\."):
        load_chute("empty:x")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("thing = 3", "'thing' in app.py is of type int, not a chute."),
        ("import json as thing", "is the module json, not a chute."),
        ("class thing: pass", "is the class thing, not a chute."),
        ("def thing(): pass", "is a function, not a chute. Call it in the file: chute = thing()."),
        (
            "def thing() -> Chute: pass",
            "is a function that returns a chute. Call it in the file: chute = thing().",
        ),
        ("def thing() -> 'Chute': pass", "is a function that returns a chute."),
        ("thing = print", "is a function, not a chute."),
    ],
)
def test_an_attribute_that_is_no_chute_is_described(project, source, text):
    project.write("app.py", source)

    with pytest.raises(LoadError) as caught:
        load_chute("app:thing")

    assert text in str(caught.value)


def test_the_pack_of_a_public_template_leads_to_its_chute(project):
    project.write(
        "app.py", f"from chutes.chute import Chute, ChutePack\npack = ChutePack({CHUTE})", chute=None
    )

    assert isinstance(load_chute("app:pack"), Chute)
    assert isinstance(load_chute("app"), Chute)


def test_a_wrong_definition_stays_what_it_is(project):
    project.write("app.py", "Chute(username='Me', name='app', image='python:3.11')")

    with pytest.raises(DefinitionError, match="Invalid username 'Me'"):
        load_chute("app.py")


def test_ctrl_c_is_not_an_error_of_the_file(project):
    project.write("app.py", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        load_chute("app.py")


def test_code_can_ask_whether_it_is_being_loaded(project):
    project.write("app.py", "from chutes.loading import is_loading\nseen = is_loading()")
    load_chute("app.py")

    assert sys.modules["app"].seen is True
    assert sys.modules["app"].is_loading() is False


def test_the_path_is_not_filled_by_loading_again(project):
    project.write("app.py")
    load_chute("app.py")
    before = list(sys.path)
    load_chute("app.py")

    assert sys.path == before
    assert sys.path.count(str(Path.cwd())) == 1
