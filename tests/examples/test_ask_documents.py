"""The example that answers from documents, with both of its real models."""

import json

import pytest

from chutes.testing import TestClient

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(model_packages, language_packages, example_chute):
    with TestClient(example_chute("ask_documents/app.py"), timeout=100, lifespan_timeout=100) as client:
        yield client


def ask(client, question, **options):
    answer = client.post("/ask", json={"question": question, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_names_the_passages_that_it_is_made_of(client):
    answer = ask(client, "What happens when a client leaves a stream?")
    assert answer["answer"]
    assert answer["sources"][0]["page"] == "streams.md"
    assert "leave" in answer["sources"][0]["text"]
    scores = [source["score"] for source in answer["sources"]]
    assert scores == sorted(scores, reverse=True)


def test_no_more_passages_than_are_asked_for(client):
    assert len(ask(client, "How do I make an API key?", passages=1)["sources"]) == 1


def test_what_the_documents_do_not_say_is_not_made_up(client):
    answer = ask(client, "What is the price of tomatoes?")
    assert answer == {"answer": "The documents say nothing about this.", "sources": []}


def test_a_stream_begins_with_the_sources(client):
    answer = client.post("/ask/stream", json={"question": "How many calls run at once?", "passages": 1})
    events = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
    assert len(events[0]["sources"]) == 1
    assert all(list(event) == ["text"] for event in events[1:])
    assert "".join(event["text"] for event in events[1:]).strip()


@pytest.mark.parametrize(
    "body", [{}, {"question": " "}, {"question": "x", "passages": 6}, {"question": "x" * 501}]
)
def test_input_out_of_bounds_is_refused(client, body):
    assert client.post("/ask", json=body).status_code == 422
