"""The Dockerfile around a recipe."""

import json

import pytest
from tests.support.dockerfile import instructions

from chutes.build.containerfile import Recipe, containerfile
from chutes.image import Image

WHEEL = "openchutes-1.0-py3-none-any.whl"


def recipe(image="python:3.11", **options):
    return Recipe(image=image, target="app.py:chute", wheel=WHEEL, **options)


def lines(image="python:3.11", **options):
    return instructions(containerfile(recipe(image, **options)).rstrip("\n"))


def last(found, name):
    return [rest for instruction, rest in found if instruction == name][-1]


def test_a_base_alone_becomes_a_whole_image():
    assert containerfile(recipe(requirements=True, labels=(("a.b", "it's"),))) == (
        "FROM python:3.11\n"
        f"COPY .chutes/{WHEEL} /opt/chutes/{WHEEL}\n"
        f"RUN pip install --no-cache-dir /opt/chutes/{WHEEL}\n"
        "COPY .chutes/requirements.txt /opt/chutes/requirements.txt\n"
        "RUN pip install --no-cache-dir --requirement /opt/chutes/requirements.txt\n"
        "RUN mkdir -p /home/chute && echo chute:x:10001:10001::/home/chute:/bin/sh >> /etc/passwd"
        " && echo chute:x:10001: >> /etc/group && chown 10001:10001 /home/chute"
        " && mkdir -p /var/lib/chutes /app && chown 10001:10001 /var/lib/chutes /app\n"
        "ENV CHUTES_HOST=0.0.0.0 CHUTES_PORT=8000 CHUTES_HOME=/var/lib/chutes PYTHONUNBUFFERED=1\n"
        "WORKDIR /app\n"
        "COPY --chown=10001:10001 .chutes/app/ /app/\n"
        "USER 10001:10001\n"
        "EXPOSE 8000\n"
        'HEALTHCHECK --interval=10s --timeout=5s --start-period=1h CMD ["python3", "-c", "import os, urllib.request; '
        "urllib.request.urlopen('http://127.0.0.1:' + os.environ['CHUTES_PORT'] + '/readyz', timeout=4)\"]\n"
        "LABEL a.b='it'\"'\"'s'\n"
        "ENTRYPOINT []\n"
        'CMD ["chutes", "run", "app.py:chute"]\n'
    )


def test_the_steps_of_the_recipe_come_first_and_as_written():
    image = Image("acme", "search").from_base("debian:12").apt_install("git").pip_install("numpy")

    text = containerfile(recipe(image))

    assert text.startswith(f"{image}\nCOPY .chutes/")


def test_the_user_and_folder_of_the_recipe_stay():
    found = lines(Image("acme", "search").set_user("app:app").set_workdir("/srv/app"))

    assert last(found, "USER") == "app:app"
    assert last(found, "WORKDIR") == "/srv/app"
    assert ("COPY", "--chown=app:app .chutes/app/ /srv/app/") in found
    # The framework is installed by root, whoever runs it.
    users = [rest for instruction, rest in found if instruction == "USER"]
    assert users == ["app:app", "root", "app:app"]
    assert not any("/etc/passwd" in rest for _, rest in found)


@pytest.mark.parametrize("command", ["echo 'USER nobody'", "cat <<EOF\nUSER nobody\nEOF\n"])
def test_a_command_that_speaks_of_a_user_sets_none(command):
    assert last(lines(Image("acme", "search").run_command(command)), "USER") == "10001:10001"


def test_an_entry_point_of_the_recipe_stays():
    found = lines(Image("acme", "search").with_entrypoint("tini", "--"))

    assert last(found, "ENTRYPOINT") == json.dumps(["tini", "--"])


def test_a_health_check_of_the_recipe_stays():
    found = lines(Image("acme", "search").healthcheck("true"))

    assert [rest for instruction, rest in found if instruction == "HEALTHCHECK"] == [
        next(rest for instruction, rest in instructions(str(Image("a", "b").healthcheck("true")))
             if instruction == "HEALTHCHECK")
    ]  # fmt: skip


def test_every_line_can_be_read_by_a_builder():
    assert {instruction for instruction, _ in lines()} == {
        "FROM", "COPY", "RUN", "ENV", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD",
    }  # fmt: skip


def test_an_engine_keeps_its_own_versions_of_libraries():
    found = lines(engine=True)

    assert (
        "RUN",
        f"pip --python /opt/chutes/venv/bin/python install --no-cache-dir /opt/chutes/{WHEEL}",
    ) in found
    assert ("ENV", "CHUTES_ENGINE_PYTHON=/opt/chutes/engine-python") in found
    assert json.loads(last(found, "CMD"))[0] == "/opt/chutes/venv/bin/chutes"
    assert ("RUN", f"pip install --no-cache-dir /opt/chutes/{WHEEL}") not in found
