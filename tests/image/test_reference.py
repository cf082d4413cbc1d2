import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.errors import DefinitionError
from chutes.image.reference import check_reference
from chutes.image.standard.diffusion import DIFFUSION
from chutes.image.standard.sglang import SGLANG
from chutes.image.standard.vllm import VLLM

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "reference",
    [
        "python",
        "python:3.11",
        "python:3.11-slim",
        "chutes/vllm:nightly-2025111700",
        "parachutes/python:3.12",
        "nvidia/cuda:12.4.1-devel-ubuntu22.04",
        "nvcr.io/nvidia/pytorch:25.01-py3",
        "localhost/demo:1",
        "localhost:5000/demo",
        "registry:5000/a/b:tag",
        f"registry:5000/a/b:tag@{DIGEST}",
        f"python@{DIGEST}",
        "Registry.Example.com/team/model",
        "[::1]:5000/a",
        "a__b/c-d.e_f:_x",
        "python:" + "x" * 128,
        VLLM,
        SGLANG,
        DIFFUSION,
    ],
)
def test_references_of_every_form_come_back_unchanged(reference):
    assert check_reference(reference) == reference


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("", "It has no name"),
        (":3.11", "It has no name"),
        ("python 3.11", "It has white space in it"),
        ("python:3.11\n", "The tag '3.11.n' is not 1 to 128"),
        ("python\n", "It has white space in it"),
        ("https://registry.io/python", "Leave out 'https://'"),
        ("Python:3.11", "Names are in lower case: 'python'"),
        ("MyCompany/App:1.0", "Names are in lower case: 'mycompany/app'"),
        ("python:", "The tag '' is not"),
        ("python:-x", "The tag '-x' is not"),
        ("python:" + "x" * 129, "is not 1 to 128 letters"),
        ("python@sha256:12", "The digest 'sha256:12' is not"),
        ("python@", "The digest '' is not"),
        ("a//b", "single '.', '_', '-' or '/'"),
        ("/a", "single '.'"),
        ("-python", "single '.'"),
        ("a" * 256, "has 256 characters, 255 is the most"),
        ("python; rm -rf /", "white space"),
        ("$(id)", "single '.'"),
    ],
)
def test_another_form_is_refused_with_its_reason_and_an_example(reference, reason):
    with pytest.raises(DefinitionError, match=reason) as caught:
        check_reference(reference)
    assert f"Invalid image {reference!r}." in str(caught.value)
    assert "for example 'python:3.11'" in str(caught.value)


@pytest.mark.parametrize("reference", [None, 5, b"python", ["python"]])
def test_what_is_no_text_is_refused(reference):
    with pytest.raises(DefinitionError, match=r"Write a reference such as 'python:3\.11'"):
        check_reference(reference)


@given(st.text(max_size=60))
def test_any_text_is_either_fit_for_a_command_line_or_a_definition_error(text):
    try:
        check_reference(text)
    except DefinitionError:
        return
    assert text.isascii()
    assert not set(text) & set(" \t\n'\"$`\\;&|<>(){}*?!#~")
    assert not text.startswith("-")
