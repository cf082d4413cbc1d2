"""The benchmark of first tokens: pairs of requests, what counts as an answer, and the table."""

import asyncio
from itertools import count

from benchmarks.llm_first import Pairs, asked_in_pairs, later
from benchmarks.llm_load import Address
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from support.http_servers import asgi_server

HEAD = 'data: {"choices":[{"text":""}]}\n\n'
TOKEN = 'data: {"choices":[{"text":"a"}]}\n\n'
END = "data: [DONE]\n\n"


def model_of(*, parts=(HEAD, TOKEN, END), asked=None):
    app = FastAPI()

    @app.post("/v1/completions")
    async def complete(body: dict):
        if asked is not None:
            asked.append((body["prompt"], body["max_tokens"]))
        return StreamingResponse((part for part in parts), media_type="text/event-stream")

    return app


def pairs_of(first, second, *, clients, pairs):
    with asgi_server(first) as one, asgi_server(second) as other:
        bare, ours = (Address(url=url, headers={}, model="m") for url in (one, other))
        return asyncio.run(asked_in_pairs(bare, ours, clients=clients, pairs=pairs, numbers=count()))


def test_both_of_a_pair_get_the_same_question_and_each_pair_another():
    bare, ours = [], []
    found = pairs_of(model_of(asked=bare), model_of(asked=ours), clients=3, pairs=7)
    assert (len(found.bare), len(found.ours), found.faults) == (7, 7, ())
    assert sorted(bare) == sorted(ours)
    assert len({question for question, _ in bare}) == 7
    assert all(seconds > 0 for seconds in (*found.bare, *found.ours))


def test_an_answer_without_a_token_is_no_pair_and_says_what_came():
    found = pairs_of(model_of(), model_of(parts=(HEAD, END)), clients=1, pairs=2)
    assert (found.bare, found.ours, len(found.faults)) == ((), (), 2)
    assert "no token came: HTTP/1.1 200 OK" in found.faults[0]


def test_the_table_tells_the_mean_and_how_sure_it_is():
    found = Pairs(clients=8, bare=(0.010, 0.020, 0.030), ours=(0.011, 0.022, 0.033), faults=("x",))
    cells = [cell.strip() for cell in later([found]).splitlines()[-1].split("|")[1:-1]]
    assert cells == ["8", "3", "20.0", "22.0", "+2.0", "+0.9 to +3.1", "+2.0", "1", "0.00"]
