"""Importing a chute file is cheap: nothing heavy is loaded, no file is read, no socket is opened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHUTE_FILE = """
from chutes.chute import Chute, NodeSelector
from chutes.image import Image

image = Image(username="test", name="picture", tag="1").run_command("true").with_env("A", "1")
chute = Chute(
    username="test",
    name="probe",
    image=image,
    node_selector=NodeSelector(gpu_count=1, min_vram_gb_per_gpu=24, include=["a100"]),
    concurrency=4,
    title="A title for FastAPI",
)

@chute.on_startup()
async def load(self):
    self.model = len

@chute.cord(public_api_path="/measure", stream=True)
async def measure(self, text: str):
    yield str(self.model(text))

@chute.websocket("/talk")
async def talk(self, websocket):
    await websocket.accept()

@chute.job(name="nightly")
async def nightly(self):
    pass
"""
SMALL_FILE = """
from chutes.chute import Chute

chute = Chute(username="test", name="small", image="python:3.12")

@chute.cord("/measure")
async def measure(self, text: str):
    return len(text)
"""
# Runs a file and prints what that loaded beyond the standard library, and what it touched.
PROBE = """
import json, runpy, sys

before = set(sys.modules)
touched = []

def watch(event, args):
    if event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so")):
        touched.append(f"open {args[0]}")
    elif event.startswith(("socket.", "subprocess.")):
        touched.append(event)

sys.addaudithook(watch)
runpy.run_path(sys.argv[1])
new = set(sys.modules) - before
loaded = {name.partition(".")[0] for name in new} - sys.stdlib_module_names
print(json.dumps({"loaded": sorted(loaded), "touched": touched, "modules": sorted(new)}))
"""


@pytest.fixture
def import_in_a_fresh_process(tmp_path):
    def run(source: str) -> dict[str, list[str]]:
        path = tmp_path / "app.py"
        path.write_text(source)
        done = subprocess.run(
            [sys.executable, "-B", "-c", PROBE, str(path)], capture_output=True, text=True, cwd=Path(tmp_path)
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_chute_file_loads_nothing_but_the_standard_library(import_in_a_fresh_process):
    assert import_in_a_fresh_process(CHUTE_FILE)["loaded"] == ["chutes"]


def test_what_a_file_does_not_use_is_not_loaded(import_in_a_fresh_process):
    modules = import_in_a_fresh_process(SMALL_FILE)["modules"]
    assert [name for name in modules if name.startswith("chutes")] == [
        "chutes", "chutes.chute", "chutes.chute.chute", "chutes.chute.config", "chutes.chute.cord",
        "chutes.chute.definition", "chutes.chute.hooks", "chutes.errors", "chutes.image", "chutes.image.reference",
        "chutes.suggestions",
    ]  # fmt: skip
    assert {"asyncio", "datetime", "difflib", "logging", "platform", "uuid"}.isdisjoint(modules)


def test_a_chute_file_reads_no_file_and_opens_no_socket(import_in_a_fresh_process):
    assert import_in_a_fresh_process(CHUTE_FILE)["touched"] == []


def test_a_schedule_loads_the_cron_parser_and_nothing_more(import_in_a_fresh_process):
    source = CHUTE_FILE.replace('name="nightly"', 'name="nightly", schedule="0 2 * * *"')
    assert import_in_a_fresh_process(source)["loaded"] == ["chutes", "cronsim"]


def test_the_probe_notices_a_package_a_file_and_a_socket(import_in_a_fresh_process):
    seen = import_in_a_fresh_process('import pydantic, socket\nopen("x.txt", "w").close()\nsocket.socket()\n')
    assert "pydantic" in seen["loaded"]
    assert seen["touched"] == ["open x.txt", "socket.__new__"]
