import dataclasses
import inspect
import json

import pytest
from fastapi import FastAPI

from chutes.chute import Chute, NodeSelector
from chutes.chute.config import FASTAPI_OPTIONS, ChuteConfig, check_installed
from chutes.errors import DefinitionError
from chutes.image import Image
from support.serving import new_chute


def config(**options):
    return ChuteConfig(**{"username": "acme", "name": "probe", "image": "python:3.11", **options})


def test_the_options_for_fastapi_are_those_of_its_constructor():
    parameters = inspect.signature(FastAPI).parameters.values()
    accepted = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
    # It was replaced by root_path long ago, and is gone from newer versions.
    accepted.discard("openapi_prefix")
    own = {entry.name for entry in dataclasses.fields(ChuteConfig)}
    assert accepted - own <= FASTAPI_OPTIONS
    # Options of a newer FastAPI than the installed one may stand in the set already.
    if {"telemetry", "form_limits"} <= accepted:
        assert accepted - own == FASTAPI_OPTIONS


def test_no_option_of_fastapi_is_hidden_by_one_of_ours_unnoticed():
    own = {entry.name for entry in dataclasses.fields(ChuteConfig)}
    assert not own & FASTAPI_OPTIONS
    assert own & set(inspect.signature(FastAPI).parameters) <= {"max_body_size"}


def test_an_option_of_a_newer_fastapi_than_the_installed_one_is_refused_with_what_to_do():
    check_installed(["title"], {"title"}, "0.136.0")
    with pytest.raises(
        DefinitionError, match=r"FastAPI 0\.136\.0, which .* takes no 'telemetry'.*--upgrade fastapi"
    ):
        check_installed(["title", "telemetry"], {"title"}, "0.136.0")


@pytest.mark.parametrize("option", sorted(FASTAPI_OPTIONS))
def test_every_option_is_taken_or_refused_by_the_installed_fastapi(option):
    chute = new_chute(**{option: getattr(FastAPI, option, None)})
    if option not in inspect.signature(FastAPI).parameters:
        with pytest.raises(DefinitionError, match=f"takes no '{option}'"):
            chute.app  # noqa: B018 - it is made on first use


def test_every_constructor_value_can_be_read():
    selector, image = NodeSelector(gpu_count=2), Image(username="acme", name="custom", tag="1.0")
    given = {
        "username": "acme",
        "name": "text-generator",
        "image": image,
        "tagline": "Text",
        "readme": "# Text",
        "standard_template": "vllm",
        "revision": "v1.2.0",
        "node_selector": selector,
        "concurrency": 8,
        "max_instances": 3,
        "shutdown_after_seconds": 60,
        "scaling_threshold": 0.5,
        "allow_external_egress": True,
        "passthrough_headers": {"X-A": "1"},
        "max_queue": 5,
        "max_body_size": 1000,
        "on_disconnect": "finish",
        "drain_delay": 1.5,
        "shutdown_grace": 3,
    }
    chute = Chute(**given, title="A title")
    assert {name: getattr(chute.config, name) for name in given} == given
    assert chute.config.fastapi_options == {"title": "A title"}


def test_the_reference_parameters_go_by_position_in_its_order():
    chute = Chute("acme", "probe", "python:3.11", "Tag", "Read", "vllm", "v1", NodeSelector(), 4)
    read = (chute.config.tagline, chute.config.readme, chute.config.standard_template, chute.config.revision)
    assert (*read, chute.config.concurrency) == ("Tag", "Read", "vllm", "v1", 4)
    with pytest.raises(TypeError):
        Chute("acme", "probe", "python:3.11", "", "", None, None, None, 4, 2)


def test_the_defaults_are_those_of_the_reference():
    defaults = new_chute().config
    assert (defaults.tagline, defaults.readme, defaults.concurrency) == ("", "", 1)
    assert (defaults.standard_template, defaults.revision, defaults.node_selector) == (None, None, None)
    assert (defaults.max_queue, defaults.max_body_size, defaults.shutdown_grace) == (64, 2**26, 30)


def test_an_image_is_required():
    with pytest.raises(TypeError, match="image"):
        Chute(username="acme", name="probe")


def test_the_config_cannot_be_changed():
    options = {"title": "before"}
    frozen = config(fastapi_options=options, passthrough_headers={"a": "b"})
    options["title"] = "after"
    assert frozen.fastapi_options == {"title": "before"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        frozen.concurrency = 2
    with pytest.raises(TypeError):
        frozen.fastapi_options["title"] = "after"
    with pytest.raises(TypeError):
        frozen.passthrough_headers["a"] = "c"


@pytest.mark.parametrize("field", ["username", "name"])
@pytest.mark.parametrize(
    ("value", "proposal"),
    [
        ("My_Company", "my-company"),
        ("-acme-", "acme"),
        ("a b", "a-b"),
        ("x" * 64, "x" * 63),
        ("", "my-chute"),
        ("ß", "my-chute"),
        ("acme\n", "acme"),
    ],
)
def test_a_bad_label_is_shown_with_a_valid_one(field, value, proposal):
    with pytest.raises(DefinitionError) as caught:
        config(**{field: value})
    assert str(caught.value).startswith(f"Invalid {field} {value!r}.")
    assert str(caught.value).endswith(f"for example {proposal!r}.")
    config(**{field: proposal})


@pytest.mark.parametrize("label", ["a", "9", "a-b", "a--b", "x" * 63])
def test_a_label_has_1_to_63_characters(label):
    assert config(username=label, name=label).name == label


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", 7),
        ("name", None),
        ("image", "Not An Image"),
        ("image", ""),
        ("image", 7),
        ("tagline", 7),
        ("readme", None),
        ("standard_template", 7),
        ("revision", 1.0),
        ("node_selector", "h100"),
        ("concurrency", 0),
        ("concurrency", -1),
        ("concurrency", 1.5),
        ("concurrency", "8"),
        ("concurrency", True),
        ("concurrency", None),
        ("max_instances", 0),
        ("max_queue", -1),
        ("max_body_size", -1),
        ("max_body_size", None),
        ("shutdown_after_seconds", -1),
        ("scaling_threshold", 0),
        ("scaling_threshold", 1.1),
        ("scaling_threshold", "0.75"),
        ("drain_delay", -0.1),
        ("drain_delay", float("nan")),
        ("shutdown_grace", float("inf")),
        ("sse_keep_alive", -1),
        ("on_disconnect", "stop"),
        ("on_disconnect", ""),
    ],
)
def test_a_bad_value_is_shown_with_the_field_and_what_to_write(field, value):
    with pytest.raises(DefinitionError) as caught:
        config(**{field: value})
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(f"Invalid {field} {value!r}")
    assert any(word in str(caught.value) for word in ("for example", "Write", "It takes"))


def test_headers_that_are_no_mapping_are_refused_as_such():
    with pytest.raises(DefinitionError, match="passthrough_headers"):
        config(passthrough_headers=["X-A"])


@pytest.mark.parametrize(
    ("option", "nearest"),
    [("concurency", "concurrency"), ("tilte", "title"), ("docs_ulr", "docs_url"), ("max_que", "max_queue")],
)
def test_an_unknown_option_is_answered_with_the_nearest_known_one(option, nearest):
    with pytest.raises(
        DefinitionError, match=rf"Chute nor FastAPI takes '{option}'\. Did you mean '{nearest}'\?"
    ):
        new_chute(**{option: 1})


def test_an_option_that_resembles_none_is_refused_without_a_proposal():
    with pytest.raises(DefinitionError) as caught:
        new_chute(zzzzzz=1)
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(("option", "value"), [("encrypted_fs", True), ("tee", True), ("lock_modules", True)])
def test_a_protection_that_does_not_exist_here_warns_at_the_users_line(option, value):
    with pytest.warns(UserWarning, match=f"{option}=True has no effect here") as caught:
        new_chute_line = Chute(username="acme", name="probe", image="python:3.11", **{option: value})
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert getattr(new_chute_line.config, option) is value


def test_options_at_their_default_warn_of_nothing(recwarn):
    new_chute(encrypted_fs=False, tee=False, lock_modules=None, allow_external_egress=None)
    assert not recwarn.list


def test_forbidding_egress_warns_as_nothing_here_enforces_it():
    with pytest.warns(UserWarning, match="allow_external_egress=False has an effect on Kubernetes alone"):
        new_chute(allow_external_egress=False)


def test_a_tagline_over_100_characters_warns_and_stays():
    with pytest.warns(UserWarning, match="101 characters"):
        chute = new_chute(tagline="x" * 101)
    assert chute.config.tagline == "x" * 101
    new_chute(tagline="x" * 100)


def test_the_id_is_the_public_platforms_and_depends_on_owner_and_name_alone():
    assert config().uid == config(concurrency=9).uid == new_chute().uid
    assert config().uid != config(name="other").uid
    assert json.dumps(config().uid)
