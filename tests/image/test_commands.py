import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chutes.errors import DefinitionError
from chutes.image import Image
from support.dockerfile import instructions, shell_arguments

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
SHELL_TEXT = st.text(alphabet="ab '\"\\$`#<>&\n\r\t{}[]*~é", max_size=30)


def image():
    return Image("me", "app")


def run_like_a_builder(step):
    """Run what a builder would, were the step followed by another."""
    (_, rest), following = instructions(step.text + "\nUSER next")
    assert following == ("USER", "next")
    return subprocess.run(shell_arguments(rest), capture_output=True).stdout


@settings(max_examples=150, deadline=None)
@given(TEXT | SHELL_TEXT)
def test_what_a_command_prints_through_the_dockerfile_is_what_it_prints_in_a_shell(text):
    (step,) = image().run_command(f"printf %s {shlex.quote(text)}").steps
    assert run_like_a_builder(step) == text.encode()


@pytest.mark.parametrize(
    "command",
    [
        "echo one && echo two",
        "echo a \\\n  b \\\n  c",
        "echo first\necho second",
        "cat <<EOF\nhello $((1+1))\nEOF",
        "echo $((1 <<3 ))",
        "echo 'a\\\nb'",
        "echo a\\\\\necho b",
        "echo end\\",
        "echo end\\ ",
        "\n    echo padded\n    ",
        "if true; then\n  echo yes\nfi",
        "# a note\necho after",
        "echo a \\\n# last",
        "echo 'é' \"$HOME\"",
        "echo [1, 2]",
    ],
)
def test_commands_of_every_shape_do_what_they_do_in_a_shell(command):
    (step,) = image().run_command(command).steps
    expected = subprocess.run(["/bin/sh", "-c", command], capture_output=True).stdout
    assert run_like_a_builder(step) == expected
    assert expected


def test_a_plain_command_stays_as_it_was_written():
    assert image().run_command("  pip list | grep torch\n").steps[0].text == "RUN pip list | grep torch"


def test_a_command_over_continued_lines_stays_as_it_was_written():
    command = "apt-get update && \\\n    # tools\n    apt-get install -y \\ \n    'g++'"
    assert image().run_command(command).steps[0].text == f"RUN {command}"


def test_a_note_between_continued_lines_is_dropped_as_in_any_dockerfile():
    (step,) = image().run_command("echo a \\\n  # a note\n  b").steps
    assert run_like_a_builder(step) == b"a b\n"


def test_several_lines_become_one_argument_of_the_shell():
    step = image().run_command("set -e\necho 'a b'").steps[0]
    assert step.text == 'RUN ["/bin/sh", "-c", "set -e\\necho \'a b\'"]'


def test_flags_of_run_stay_before_the_command():
    mount = "--mount=type=cache,target=/var/cache/pip "
    assert image().run_command(mount + "pip install torch").steps[0].text == f"RUN {mount}pip install torch"
    assert image().run_command(mount + "a\nb").steps[0].text == f'RUN {mount}["/bin/sh", "-c", "a\\nb"]'


@pytest.mark.parametrize("command", ["", "  \n ", None, 5, "a\0b", "\ud800", ["pip", "list"]])
def test_a_command_is_text_with_something_in_it(command):
    with pytest.raises(DefinitionError, match="Invalid command"):
        image().run_command(command)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("python", "-m", "app"), '["python", "-m", "app"]'),
        ((["python", "-m", "app"],), '["python", "-m", "app"]'),
        (("python -m 'my app'",), '["python", "-m", "my app"]'),
        ((["/a b/c"],), '["/a b/c"]'),
        (("sh", "-c", 'echo "é"'), '["sh", "-c", "echo \\"é\\""]'),
    ],
)
def test_an_entrypoint_is_a_list_of_words(arguments, text):
    assert image().with_entrypoint(*arguments).steps[0].text == f"ENTRYPOINT {text}"


@pytest.mark.parametrize("arguments", [(), ([],), (5,), ("a", None), ("",), ("a\nb",), ("it's",)])
def test_an_entrypoint_without_words_is_refused(arguments):
    with pytest.raises(DefinitionError):
        image().with_entrypoint(*arguments)


def test_a_health_check_says_when_and_what():
    step = image().healthcheck("curl -f http://127.0.0.1:8000/livez", start_period=1.5).steps[0]
    assert step.text == (
        "HEALTHCHECK --interval=30s --timeout=5s --start-period=1.5s --retries=3"
        " CMD curl -f http://127.0.0.1:8000/livez"
    )


def test_no_start_period_is_not_written_because_builders_refuse_one_of_0_seconds():
    text = image().healthcheck("true", interval=0.5, retries=1).steps[0].text
    assert text == "HEALTHCHECK --interval=0.5s --timeout=5s --retries=1 CMD true"


@pytest.mark.parametrize(
    "options",
    [
        {"interval": 0},
        {"timeout": -1},
        {"start_period": "5s"},
        {"interval": True},
        {"timeout": float("inf")},
        {"retries": 0},
        {"retries": 1.5},
        {"retries": True},
    ],
)
def test_a_health_check_with_impossible_times_is_refused(options):
    with pytest.raises(DefinitionError, match=f"Invalid {next(iter(options))}="):
        image().healthcheck("true", **options)
