import os
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chutes.errors import DefinitionError
from chutes.image import Image
from support.dockerfile import assignment, instructions

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=40)
SHELL_LINE = st.text(alphabet="ab '\"\\$`#=<&{}", max_size=20)


def image():
    return Image("me", "app")


@settings(max_examples=150, deadline=None)
@example("it's $HOME \\")
@example("")
@given((LINE | SHELL_LINE).filter(lambda value: "$KEY" not in value and "${KEY}" not in value))
def test_a_value_comes_out_of_the_dockerfile_and_of_a_shell_as_it_went_in(value):
    (step,) = image().with_env("KEY", value).steps
    (instruction, rest), following = instructions(step.text + "\nUSER next")
    assert (instruction, assignment(rest), following) == ("ENV", ("KEY", value), ("USER", "next"))
    printed = subprocess.run(
        ["/bin/sh", "-c", f'{rest}; printf %s "$KEY"'], capture_output=True, env={"PATH": os.defpath}
    )
    assert printed.stdout.decode() == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("/opt/my bin:$PATH", "ENV PATH='/opt/my bin:'${PATH}"),
        ("${PATH}:/opt/bin", "ENV PATH=${PATH}:/opt/bin"),
        ("$PATH", "ENV PATH=${PATH}"),
        ("$PATHS:$HOME", "ENV PATH='$PATHS:$HOME'"),
    ],
)
def test_a_value_may_mention_what_it_was_before(value, text):
    assert image().with_env("PATH", value).steps[0].text == text


@given(LINE)
def test_a_label_holds_any_line(value):
    (step,) = image().with_label("team.note", value).steps
    ((_, rest),) = instructions(step.text)
    assert assignment(rest) == ("team.note", value)


def test_numbers_are_written_as_text():
    assert image().with_env("PORT", 8000).with_env("RATE", 0.5).steps[0].text == "ENV PORT=8000"


@pytest.mark.parametrize("key", ["", "1A", "A-B", "A B", "A=B", "A\nRUN x", None, "É"])
def test_a_key_that_no_shell_knows_is_refused(key):
    with pytest.raises(DefinitionError, match="Invalid environment variable"):
        image().with_env(key, "x")


@pytest.mark.parametrize("value", [True, None, ["a"], b"a"])
def test_a_value_is_text_or_a_number(value):
    with pytest.raises(DefinitionError, match="Write it as text"):
        image().with_env("KEY", value)


@pytest.mark.parametrize("value", ["a\nRUN evil", "a\rb"])
def test_a_value_of_several_lines_is_refused_with_a_way_out(value):
    with pytest.raises(DefinitionError, match="put the text into a file"):
        image().with_env("KEY", value)
    with pytest.raises(DefinitionError, match="put the text into a file"):
        image().with_label("key", value)


@pytest.mark.parametrize("key", ["", "a b", "a=b", "-a", None])
def test_a_label_key_with_odd_characters_is_refused(key):
    with pytest.raises(DefinitionError, match="Invalid label"):
        image().with_label(key, "x")


def test_a_maintainer_is_a_label():
    text = image().with_maintainer("Ada <ada@example.com>").steps[0].text
    assert text == "LABEL org.opencontainers.image.authors='Ada <ada@example.com>'"


@pytest.mark.parametrize("user", ["root", "chutes", "1000:1000", "app:www-data"])
def test_users_and_groups_by_name_or_number(user):
    assert image().set_user(user).steps[0].text == f"USER {user}"


@pytest.mark.parametrize("user", ["", "a b", "a:", ":a", "a:b:c", 1000, None, "a\nRUN x"])
def test_what_is_no_user_is_refused(user):
    with pytest.raises(DefinitionError, match="Invalid user"):
        image().set_user(user)


def test_a_folder_may_have_blanks_and_variables():
    assert image().set_workdir("/my app").set_workdir("$HOME/x").steps[0].text == "WORKDIR /my app"


@pytest.mark.parametrize("directory", ["", " ", "/a\nRUN x", "/it's", "/a\\", None, 5])
def test_what_is_no_folder_is_refused(directory):
    with pytest.raises(DefinitionError, match="Invalid working directory"):
        image().set_workdir(directory)


def test_ports_are_tcp_unless_said_otherwise():
    assert [step.text for step in image().expose(8000).expose(53, "udp").steps] == [
        "EXPOSE 8000/tcp",
        "EXPOSE 53/udp",
    ]


@pytest.mark.parametrize(
    ("port", "proto"), [(0, "tcp"), (65536, "tcp"), ("80", "tcp"), (True, "tcp"), (80, "http")]
)
def test_a_port_that_cannot_be_is_refused(port, proto):
    with pytest.raises(DefinitionError, match=r"Invalid (port|proto)"):
        image().expose(port, proto)
