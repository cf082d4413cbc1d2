"""`chutes show`: what is in a file, for people and for programs."""

import json
import re
import sys
from datetime import UTC, datetime

import pytest

from chutes.cli.description import describe
from chutes.cli.show import show
from chutes.loading import load

EVERYTHING = '''
from collections.abc import AsyncIterator
from typing import Annotated

import heavylib
from chutes import Chute, Image, NodeSelector
from fastapi import Response, UploadFile, WebSocket
from pydantic import BaseModel, Field

print("the file speaks while it is loaded")

chute = Chute(
    username="me",
    name="everything",
    image=Image(username="me", name="speech", tag="1.0").pip_install("heavylib"),
    tagline="Speaks",
    node_selector=NodeSelector(gpu_count=2, min_vram_gb_per_gpu=24, include=["h100"], cpu=8),
    concurrency=4,
    revision="v2",
    passthrough_headers={"Authorization": "Bearer secret"},
)


class Prompt(BaseModel):
    text: str = Field(description="what to say")
    voice: str = "calm"


class Sound(BaseModel):
    seconds: float


@chute.on_startup(priority=20)
async def load_voices(self):
    """Load the voices."""


@chute.on_startup(priority=10)
def find_gpu(self): ...


@chute.on_shutdown()
async def unload(self): ...


@chute.cord("/speak", input_schema=Prompt, output_schema=Sound)
@heavylib.inference_mode()
async def speak(self, prompt: Prompt) -> Sound:
    """Say something.

    At some length.
    """


@chute.cord("/words", method="GET")
async def words(self, limit: Annotated[int, Field(ge=1)] = 10) -> list[str]: ...


@chute.cord("/voices/{voice_id:int}", method="GET")
async def voice(self, voice_id: int) -> Sound | None: ...


@chute.cord("/picture", output_content_type="image/png")
async def picture(self, sound: heavylib.Tensor) -> Response: ...


@chute.cord("/upload")
async def upload(self, file: UploadFile, title: str = ""): ...


@chute.cord("/stream", stream=True)
async def stream(self, text: str) -> AsyncIterator[dict]:
    yield {}


@chute.cord("/hidden", include_in_schema=False)
async def hidden(self): ...


@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    """Talk."""


@chute.job(name="nightly", schedule="30 2 * * *", timezone="Europe/Berlin", timeout=60, retry_count=1)
async def tidy(self):
    """Tidy up."""


@chute.job()
async def train(self, data: dict, epochs: int = 3): ...
'''
NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


@pytest.fixture
def described(cli):
    cli.write("app.py", EVERYTHING)
    return describe(load("app.py", stand_ins=True), NOON)


def cord(described, name):
    return next(one for one in described["cords"] if one["name"] == name)


def test_everything_is_json(described):
    assert json.loads(json.dumps(described)) == described


def test_the_config_is_whole_and_without_secrets(described):
    config = described["config"]

    assert described["chute"] == "me/everything"
    assert config["image"] == {
        "name": "me/speech:1.0",
        "dockerfile": "FROM python:3.11-slim\nRUN pip install --no-cache-dir heavylib",
    }
    assert config["node_selector"]["include"] == ["h100"]
    assert (config["concurrency"], config["revision"], config["max_queue"]) == (4, "v2", 64)
    assert config["passthrough_headers"] == ["Authorization"]
    assert "secret" not in json.dumps(described)


def test_a_cord_has_its_schemas(described):
    one = cord(described, "speak")

    assert (one["method"], one["path"], one["stream"]) == ("POST", "/speak", False)
    assert one["doc"].startswith("Say something.\n")
    assert one["input"] == {
        "content_type": "application/json",
        "schema": {"$ref": "#/components/schemas/Prompt"},
    }
    assert one["output"]["schema"] == {"$ref": "#/components/schemas/Sound"}
    assert described["components"]["schemas"]["Prompt"]["required"] == ["text"]


def test_parameters_of_path_and_query_are_listed(described):
    (limit,) = cord(described, "words")["parameters"]
    (voice_id,) = cord(described, "voice")["parameters"]

    assert (limit["name"], limit["in"], limit["schema"]["minimum"]) == ("limit", "query", 1)
    assert (voice_id["name"], voice_id["in"], voice_id["required"]) == ("voice_id", "path", True)


def test_content_types_are_those_of_the_cord(described):
    assert cord(described, "picture")["output"]["content_type"] == "image/png"
    assert cord(described, "upload")["input"]["content_type"] == "multipart/form-data"
    assert cord(described, "stream")["output"]["content_type"] == "text/event-stream"


def test_a_cord_that_is_kept_out_of_the_schema_is_listed_without_one(described):
    one = cord(described, "hidden")

    assert (one["input"], one["output"], one["parameters"]) == (None, None, [])


def test_a_job_has_its_next_run_in_utc(described):
    tidy, train = described["jobs"]

    assert (tidy["name"], tidy["function"], tidy["retry_count"], tidy["timeout"]) == (
        "nightly",
        "tidy",
        1,
        60,
    )
    assert tidy["next_run"] == "2026-01-16T01:30:00Z"
    assert (train["schedule"], train["next_run"]) == (None, None)
    assert train["parameters"] == [
        {"name": "data", "required": True},
        {"name": "epochs", "required": False, "default": 3},
    ]


def test_hooks_stand_in_the_order_in_which_they_run(described):
    assert [hook["name"] for hook in described["startup"]] == ["find_gpu", "load_voices"]
    assert described["shutdown"] == [{"name": "unload", "priority": 50, "doc": ""}]
    assert described["websockets"] == [{"name": "talk", "path": "/talk", "doc": "Talk."}]


def test_the_json_is_alone_on_stdout(cli):
    cli.write("app.py", EVERYTHING)

    result = cli("show", "app.py", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["stand_ins"] == ["heavylib"]
    assert "the file speaks while it is loaded" in result.stderr


def test_in_a_pipe_each_row_is_one_line(cli):
    cli.write("app.py", EVERYTHING)

    result = cli("show", "app.py")

    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert rows[:3] == ["chute me/everything", "tagline Speaks", "image me/speech:1.0"]
    assert "hardware 8 CPU cores, 2 GPUs of 24 GB or more, one of h100" in rows
    assert "startup find_gpu, load_voices" in rows
    assert 'POST /speak speak text: string, voice: string = "calm" Sound Say something.' in rows
    assert "GET /words words limit: integer = 10 list[string]" in rows
    assert "POST /stream stream text: string stream of text/event-stream" in rows
    assert 'POST /upload upload file: file, title: string = "" any' in rows
    assert "POST /hidden hidden" in rows
    assert "/talk talk Talk." in rows
    assert any(
        row.startswith("nightly 30 2 * * * ") and row.endswith(" 2, 60 s each Tidy up.") for row in rows
    )
    assert not any(line != line.rstrip() for line in result.stdout.splitlines())


def test_what_was_stood_in_is_told(cli):
    cli.write("app.py", EVERYTHING)

    assert "Warning: Not installed here, and replaced by stand-ins: heavylib." in cli("show", "app.py").stderr


def test_a_chute_with_nothing_in_it_can_be_shown(cli):
    cli.write("app.py", 'from chutes import Chute\nx = Chute(username="me", name="x", image="python:3.11")\n')

    result = cli("show", "app.py")

    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "chute me/x",
        "image python:3.11",
        "hardware any machine",
        "concurrency 1 at once, 64 more may wait",
    ]


MODEL = """
from chutes.templates import build_vllm_chute

chute = build_vllm_chute("acme", "./gpt2", engine_args={"max_model_len": 512})
"""


def test_a_model_is_shown_with_its_engine_and_the_fields_that_it_needs(cli):
    cli.write("app.py", MODEL)

    lines = [" ".join(line.split()) for line in cli("show", "app.py").stdout.splitlines()]

    assert "model ./gpt2 as gpt2, engine auto, with --max-model-len 512" in lines
    chat = next(line for line in lines if line.startswith("POST /v1/chat/completions"))
    assert re.search(r"messages: list\[object\], and \d+ more", chat)
    assert json.loads(cli("show", "app.py", "--json").stdout)["engine"]["served_name"] == "gpt2"


def test_a_terminal_gets_a_table_that_fits(cli, monkeypatch, capsys):
    cli.write("app.py", EVERYTHING)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    show("app.py")

    out = capsys.readouterr().out
    assert "─" * 20 in out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 120


def test_a_file_without_a_chute_is_told(cli):
    cli.write("app.py", "x = 1")

    result = cli("show", "app.py")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: app.py has no chute.")


def test_a_call_of_a_missing_library_is_told(cli):
    cli.write("app.py", "import heavylib\nmodel = heavylib.load('x')\n")

    result = cli("show", "app.py")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: app.py, line 2: heavylib.load is called while the file is loaded")
    assert result.stderr.count("\n") == 1
