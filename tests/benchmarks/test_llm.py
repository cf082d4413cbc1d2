"""The benchmark of a language model: its clients, the order of its samples, and its table."""

import asyncio
import json

import pytest
from benchmarks.llm_load import Address, spoken
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from benchmarks import llm
from support.http_servers import asgi_server


def model_of(tokens, *, fails=()):
    """A server that answers each question with so many tokens, and fails for the numbers in `fails`."""
    app = FastAPI()
    asked = []

    @app.post("/v1/chat/completions")
    async def chat(body: dict):
        question = body["messages"][0]["content"]
        asked.append(question)

        async def events():
            yield 'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n'
            if not question.rstrip(".").endswith(fails):
                for number in range(tokens):
                    yield f"data: {json.dumps({'choices': [{'delta': {'content': str(number)}}]})}\n\n"
            yield 'data: {"choices":[]}\n\ndata: [DONE]\n\n'

        return StreamingResponse(events(), media_type="text/event-stream")

    return app, asked


def test_clients_share_the_questions_and_count_every_token():
    app, asked = model_of(5)
    with asgi_server(app) as url:
        found = asyncio.run(spoken(Address(url=url, headers={}, model="m"), clients=3, requests=7))
    assert (found.tokens, found.faults, len(found.first)) == (35, (), 7)
    assert len(set(asked)) == 7
    assert all(0 < seconds <= found.seconds for seconds in found.first)


def test_an_answer_without_a_token_counts_as_failed():
    app, _ = model_of(2, fails=("number 1",))
    with asgi_server(app) as url:
        found = asyncio.run(spoken(Address(url=url, headers={}, model="m"), clients=1, requests=3))
    assert (found.tokens, found.faults) == (4, ("1: RuntimeError: no token came",))


def test_every_server_is_asked_once_a_round_at_each_number_of_clients():
    order = list(llm.pairs(["a", "b"], 4, (1, 8)))
    assert len(order) == 16
    assert {order.count(pair) for pair in set(order)} == {4}
    assert {order[place][0] for place in range(0, 16, 2)} == {"a", "b"}


def talk(server, rate, first):
    return llm.Talk(server=server, clients=8, first=first, rate=rate, foreign=0.05)


def test_the_table_tells_each_server_beside_the_bare_engine():
    text = llm.compared(
        [talk("chutes", 97.0, (0.012,)), talk(llm.BARE, 100.0, (0.01,)), talk("Other", 50.0, (0.02,))]
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    assert [row[0] for row in rows] == ["8: bare engine", "8: chutes", "8: Other"]
    assert rows[1][1:5] == ["97.0", "0.970", "12.0", "+2.0"]
    assert rows[2][2:5] == ["0.500", "20.0", "+10.0"]


def test_a_server_alone_is_compared_with_nothing():
    assert "| 8: Other " in llm.compared([talk("Other", 50.0, (0.02,))])


@pytest.mark.parametrize("server", llm.SERVERS.values(), ids=lambda server: server.name)
def test_every_server_has_its_versions(server):
    from benchmarks.environments import version_of

    assert version_of(server.environment, server.package)
