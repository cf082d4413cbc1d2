import json

import pytest
from benchmarks.forms import FORMS
from benchmarks.in_process import request, running
from benchmarks.servers import on_chutes, on_fastapi, raw_asgi
from benchmarks.servers.payloads import TOKENS

APPLICATIONS = {"raw": raw_asgi.app, "fastapi": on_fastapi.app, "chutes": on_chutes.chute}


@pytest.fixture(params=APPLICATIONS)
async def application(request: pytest.FixtureRequest):
    app = APPLICATIONS[request.param]
    async with running(app):
        yield app


@pytest.mark.parametrize(
    "form", [form for form in FORMS.values() if form.chunks == 1], ids=lambda form: form.name
)
async def test_every_server_gives_the_same_answer(application, form):
    start, *rest = await request(application, form)
    words = "hello" if form.name == "query" else "hello world"
    assert json.loads(b"".join(message.get("body", b"") for message in rest)) == {
        "generated_text": f"echo: {words}",
        "tokens_used": len(words.split()),
    }
    assert (b"content-type", b"application/json") in start["headers"]


async def test_every_server_streams_one_event_for_each_token(application):
    _, *rest = await request(application, FORMS["stream"])
    chunks = [message["body"] for message in rest if message.get("body")]
    assert [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks] == [
        {"token": token} for token in TOKENS
    ]
