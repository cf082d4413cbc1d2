import json
import shlex

from chutes.serve.banner import banner
from support.serving import new_chute


async def run(self): ...
async def talk(self, websocket): ...


def with_cords(**options):
    chute = new_chute(**options)
    chute.cord("/generate")(run)
    chute.cord("/users/{user}", method="GET")(run)
    chute.websocket("/talk")(talk)
    return chute


def test_it_says_where_everything_is():
    lines = banner(with_cords(concurrency=4, max_queue=9), "http://127.0.0.1:8000").splitlines()
    assert lines[0] == "acme/probe is ready on http://127.0.0.1:8000"
    assert [line.split() for line in lines[2:5]] == [
        ["POST", "http://127.0.0.1:8000/generate"],
        ["GET", "http://127.0.0.1:8000/users/{user}"],
        ["WS", "ws://127.0.0.1:8000/talk"],
    ]
    assert "docs http://127.0.0.1:8000/docs · concurrency 4, queue 9" in lines[6]


def test_it_names_no_docs_where_there_are_none():
    for options in ({"docs_url": None}, {"openapi_url": None}):
        assert "docs" not in banner(with_cords(**options), "http://a")
    assert "docs http://a/manual" in banner(with_cords(docs_url="/manual"), "http://a")


def test_a_secure_url_has_secure_websockets():
    assert "wss://a/talk" in banner(with_cords(), "https://a")


def test_a_chute_without_cords_is_ready_too():
    assert "acme/probe is ready on http://a" in banner(new_chute(), "http://a")
    assert 'no cords yet: write @chute.cord("/…")' in banner(new_chute(), "http://a")


def test_a_model_comes_with_a_call_to_paste():
    url = "http://127.0.0.1:8000"
    chat = banner(new_chute(model_name="someone/model"), url).replace("\\\n", " ")
    line = next(line for line in chat.splitlines() if "Try it" in line)
    words = shlex.split(line.partition(":")[2])
    assert words[:3] == ["curl", "-s", f"{url}/v1/chat/completions"]
    assert json.loads(words[-1])["messages"][0]["role"] == "user"
    embedding = new_chute(model_name="someone/model", standard_template="embedding")
    assert f"curl -s {url}/v1/embeddings " in banner(embedding, url)
    assert "curl" not in banner(with_cords(), url)


def test_a_model_and_its_engine_are_named():
    assert "· tiny by vLLM ·" in banner(with_cords(), "http://a", model="tiny by vLLM")
