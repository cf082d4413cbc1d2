"""Building: what is asked of the tool, and when it is asked nothing."""

import pytest

from chutes.build import Options, build, references
from chutes.build.fake import FakeContainerTool
from chutes.errors import BuildError


@pytest.fixture
def context(project):
    project.chute()
    return project.context()


@pytest.fixture
def tool():
    return FakeContainerTool()


def test_the_image_is_named_for_the_chute_and_for_its_content(context, tool):
    built = build(context, tool, Options())

    assert built.is_new
    assert built.references == ("acme/search:latest", f"acme/search:{context.digest[:12]}")
    (order,) = tool.orders
    assert (tuple(order.references), order.digest) == (built.references, context.digest)


def test_the_same_files_are_built_once(context, tool):
    build(context, tool, Options())

    assert not build(context, tool, Options()).is_new
    assert len(tool.orders) == 1


def test_a_build_can_be_forced(context, tool):
    build(context, tool, Options())

    assert build(context, tool, Options(force=True, use_cache=False)).is_new
    assert [order.use_cache for order in tool.orders] == [True, False]


def test_another_build_under_the_same_name_is_no_reason_to_do_nothing(context, tool):
    build(context, tool, Options())
    tool.images["acme/search:latest"] = "of somebody else"

    assert build(context, tool, Options()).is_new


def test_each_platform_is_an_image_of_its_own(context, tool):
    build(context, tool, Options())

    built = build(context, tool, Options(platform="linux/arm64"))

    assert built.is_new
    assert built.references[1].endswith("-linux-arm64")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (Options(reference="mine"), ("mine:latest", "mine:DIGEST")),
        (Options(reference="mine:1"), ("mine:1", "mine:DIGEST")),
        (Options(reference="host:5000/mine"), ("host:5000/mine:latest", "host:5000/mine:DIGEST")),
        (Options(registry="host:5000/team/"), ("host:5000/team/acme/search:latest", "host:5000/team/acme/search:DIGEST")),
    ],
)  # fmt: skip
def test_names_and_registries_can_be_chosen(context, options, names):
    found = references(context, options)

    assert tuple(name.replace(context.digest[:12], "DIGEST") for name in found) == names


def test_a_tool_that_fails_leaves_no_folder_behind(context, tool, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tool.refusal = "podman build ended with exit code 1."
    before = set(tmp_path.iterdir())

    with pytest.raises(BuildError, match="exit code 1"):
        build(context, tool, Options())

    assert set(tmp_path.iterdir()) == before
