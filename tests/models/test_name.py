"""What a model's name means."""

import sys

import pytest

from chutes.errors import ModelError
from chutes.models import find_model
from chutes.models.name import HubName, LocalName, PackageName, parse_name
from support.model_files import gguf, llama_folder


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt2", HubName("gpt2")),
        ("Qwen/Qwen3-0.6B", HubName("Qwen/Qwen3-0.6B")),
        ("a/b-GGUF:Q4_K_M", HubName("a/b-GGUF", "Q4_K_M")),
        ("a/b-GGUF:q4/b-00001-of-00002.gguf", HubName("a/b-GGUF", "q4/b-00001-of-00002.gguf")),
        (" a/b ", HubName("a/b")),
        ("package:some.part/inner/file.gguf", PackageName("some.part", "inner/file.gguf")),
    ],
)
def test_a_name_that_is_no_path(name, meant):
    assert parse_name(name) == meant


def test_what_exists_comes_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert parse_name("a/b") == LocalName(tmp_path / "a" / "b")
    assert parse_name("a/c") == HubName("a/c")


def test_home_is_written_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    assert parse_name("~/m") == LocalName(tmp_path / "m")


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a/b/c", "https://huggingface.co/a/b", "package:x", "package:/x", "a/b:"]
)
def test_a_name_of_no_form_says_what_to_write(name):
    with pytest.raises(ModelError, match=r"Invalid model name .* Write "):
        parse_name(name)


def test_a_path_where_nothing_is_names_its_neighbour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llama").mkdir()
    with pytest.raises(
        ModelError, match=r"no model at ./lama. Did you mean 'llama'\? Relative paths start at /"
    ):
        parse_name("./lama")
    with pytest.raises(ModelError, match=r"the folder /no/such does not exist"):
        parse_name("/no/such/model")
    with pytest.raises(ModelError, match=r"no model at weights.gguf"):
        parse_name("weights.gguf")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with weights in it, which must not be imported."""
    folder = tmp_path / "weights_of_ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "small.gguf").write_bytes(gguf())
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_package_carries_weights(package):
    model = find_model("package:weights_of_ours/small.gguf")
    assert (model.path, model.form, model.source) == (package / "small.gguf", "gguf", "package")
    assert "weights_of_ours" not in sys.modules


def test_a_file_that_the_package_has_not_names_another(package):
    with pytest.raises(ModelError, match=r"has no file 'smal.gguf'. Did you mean 'small.gguf'"):
        find_model("package:weights_of_ours/smal.gguf")
    with pytest.raises(ModelError, match=r"has no file 'x.bin'. It has 'small.gguf'"):
        find_model("package:weights_of_ours/x.bin")


@pytest.mark.parametrize("name", ["no_such_package", "no_such.inner", "json.decoder"])
def test_a_package_that_is_not_there_says_how_to_get_one(name):
    with pytest.raises(ModelError, match=r"is not installed here. Install the distribution"):
        find_model(f"package:{name}/x.gguf")


def test_a_relative_folder_is_found_from_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    for name, content in llama_folder().items():
        (tmp_path / "m" / name).write_bytes(content)
    assert find_model("./m").path == tmp_path / "m"
