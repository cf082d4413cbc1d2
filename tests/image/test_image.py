from pathlib import Path

import pytest

from chutes.errors import DefinitionError
from chutes.image import Image
from chutes.image.reference import check_reference

RECIPES = Path(__file__).parent / "recipes"


def every_method():
    image = Image(username="mycompany", name="custom-ai", tag="1.0", readme="# Custom")
    image.from_base("nvidia/cuda:12.4.1-runtime-ubuntu22.04")
    image.with_maintainer("Ada Lovelace <ada@example.com>")
    image.with_python("3.12")
    image.apt_install(["git", "g++"]).apt_remove("vim")
    image.pip_install("torch>=2.4", "uvicorn[standard]", extra_index_url="https://download.example.com/cu124")
    image.with_env("HF_HOME", "/cache").with_env("GREETING", "it's $5").with_env(
        "PATH", "/app/bin:$PATH"
    ).with_label("team", "search & ranking")
    image.add("https://example.com/model.bin", "/models/", checksum="sha256:" + "0" * 64)
    image.add("weights.tar.gz", "/models/", chown="app:app", chmod="644")
    image.copy("my notes.txt", "/app/")
    image.run_command("useradd --create-home app")
    image.run_command("set -e\npython - <<EOF\nprint('ready')\nEOF")
    image.set_workdir("/app").set_user("app").expose(8000)
    image.healthcheck("curl -f http://127.0.0.1:8000/livez", interval=10, start_period=60)
    image.with_entrypoint("chutes", "run", "app:chute")
    return image


def test_every_method_writes_its_instruction_in_the_order_written():
    assert f"{every_method()}\n" == (RECIPES / "every_method.Dockerfile").read_text()


def test_the_same_calls_write_the_same_text_and_digest():
    first, second = every_method(), every_method()
    assert str(first) == str(second)
    assert first.digest == second.digest == every_method().digest
    assert first.digest.startswith("sha256:")
    assert len(first.digest) == len("sha256:") + 64
    assert second.run_command("true").digest != first.digest


def test_order_is_part_of_the_recipe():
    one = Image("me", "app").set_user("app").set_workdir("/app")
    other = Image("me", "app").set_workdir("/app").set_user("app")
    assert one.digest != other.digest


def test_every_method_returns_the_same_image_so_results_need_not_be_kept():
    image = Image("me", "app")
    assert image.run_command("true") is image
    assert image.from_base("debian:12") is image
    assert image.with_python() is image
    assert len(image.steps) == 2


def test_without_a_base_it_starts_from_a_slim_python():
    assert str(Image("me", "app")) == "FROM python:3.11-slim"


def test_the_last_base_counts_wherever_it_is_written():
    image = Image("me", "app").from_base("debian:11").run_command("true").from_base("debian:12")
    assert str(image) == "FROM debian:12\nRUN true"


def test_a_base_is_a_reference():
    with pytest.raises(DefinitionError, match="Names are in lower case"):
        Image("me", "app").from_base("Debian:12")


def test_a_step_that_is_refused_leaves_no_trace():
    image = Image("me", "app").run_command("true")
    for bad in (
        lambda: image.with_env("A B", "x"),
        lambda: image.from_base(""),
        lambda: image.with_python("x"),
    ):
        with pytest.raises(DefinitionError):
            bad()
    assert str(image) == "FROM python:3.11-slim\nRUN true"
    assert str(image.with_python("3.12")) == "FROM python:3.12-slim\nRUN true"


def test_its_reference_is_one_that_a_registry_takes():
    assert Image("mycompany", "custom-ai", tag="1.0").reference == "mycompany/custom-ai:1.0"
    assert Image("me", "app").reference == "me/app:latest"
    assert (
        check_reference(Image("your_username", "FLUX.1-dev", "V1").reference) == "your_username/flux.1-dev:V1"
    )


@pytest.mark.parametrize("parameter", ["username", "name", "tag"])
@pytest.mark.parametrize("value", ["", "a b", "-a", ".a", "a/b", "a:b", None, 5, "a\n"])
def test_a_part_that_no_reference_can_have_is_refused_by_name(parameter, value):
    parts = {"username": "me", "name": "app", "tag": "1.0"} | {parameter: value}
    with pytest.raises(DefinitionError, match=f"Invalid {parameter} "):
        Image(**parts)


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("python_version", r"Write Image\(…\)\.with_python"),
        ("base_image", r"Write Image\(…\)\.from_base"),
        ("tags", "Did you mean 'tag'"),
        ("registry", "It takes username, name, tag, readme"),
    ],
)
def test_an_unknown_keyword_says_what_to_write(keyword, hint):
    with pytest.raises(DefinitionError, match=f"Image has no parameter '{keyword}'.*{hint}"):
        Image("me", "app", **{keyword: "x"})


def test_its_repr_is_short():
    assert (
        repr(every_method())
        == "<Image mycompany/custom-ai:1.0 from nvidia/cuda:12.4.1-runtime-ubuntu22.04, 19 steps>"
    )


def test_steps_cannot_be_changed_from_outside():
    image = Image("me", "app").run_command("true")
    assert isinstance(image.steps, tuple)
    with pytest.raises(AttributeError):
        image.steps[0].text = "RUN false"
    with pytest.raises(AttributeError):
        image.steps = ()
