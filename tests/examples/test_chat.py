"""The chat example: what it declares, and the real model behind it."""

from pathlib import Path

import pytest
from openai import OpenAI

from support.chute_process import chute_process

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "chat" / "app.py"
MODEL = "SmolLM2-135M-Instruct.Q4_1"
QUESTION = [{"role": "user", "content": "Explain photosynthesis in one sentence."}]


def test_it_has_the_routes_of_the_openai_api(example_chute):
    paths = {cord.path for cord in example_chute("chat/app.py").cords}
    assert {"/v1/chat/completions", "/v1/completions", "/v1/models"} <= paths


@pytest.fixture
def client(language_packages, tmp_path):
    with chute_process(EXAMPLE, "--port", 0, folder=tmp_path, log=tmp_path / "log") as chute:
        with OpenAI(base_url=f"{chute.url}/v1", api_key="none") as client:
            yield client
        chute.stop()


@pytest.mark.slow
def test_a_real_model_answers_the_openai_client(client):
    assert MODEL in [model.id for model in client.models.list()]
    options = {"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 60}
    whole = client.chat.completions.create(**options)
    assert "Photosynthesis" in whole.choices[0].message.content
    pieces = [
        chunk.choices[0].delta.content or ""
        for chunk in client.chat.completions.create(**options, stream=True)
    ]
    assert len(pieces) > 5
    assert "Photosynthesis" in "".join(pieces)
    going_on = client.completions.create(
        model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=4
    )
    assert "Paris" in going_on.choices[0].text
