"""A reader of Dockerfiles, written from their documented rules: what a builder gets from our text."""

import json
import re
import shlex


def instructions(text):
    """Return (instruction, rest) for each: joined over continued lines, comment lines dropped."""
    found, pending = [], ""
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            continue
        if continued := re.search(r"\\[ \t]*$", line):
            pending += line[: continued.start()]
            continue
        instruction, _, rest = (pending + line).strip().partition(" ")
        found.append((instruction, rest.strip()))
        pending = ""
    assert not pending, "the last line continues into nothing"
    return found


def shell_arguments(rest):
    """Return the arguments of the process that a RUN or CMD starts."""
    try:
        words = json.loads(rest)
    except ValueError:
        return ["/bin/sh", "-c", rest]
    return words


def assignment(rest):
    """Return the key and value of an ENV or LABEL that sets one."""
    (word,) = shlex.split(rest)
    key, _, value = word.partition("=")
    return key, value
