"""The description of a child process is valid once it is made."""

import pytest

from chutes.processes import Command


def test_a_list_of_arguments_is_frozen():
    argv = ["true"]
    command = Command(argv=argv, name="x", inherited_fds=[3])
    argv.append("false")
    assert command.argv == ("true",)
    assert command.inherited_fds == (3,)


@pytest.mark.parametrize("argv", ["true", (), []])
def test_arguments_that_are_no_list_of_strings_are_refused(argv):
    with pytest.raises(ValueError, match="Write one string per argument"):
        Command(argv=argv, name="x")


@pytest.mark.parametrize("times", [{"start_timeout": 0}, {"grace": -1}])
def test_times_that_cannot_be_are_refused(times):
    with pytest.raises(ValueError, match="Write seconds"):
        Command(argv=["true"], name="x", **times)
