"""What a batched cord takes and returns: one item for each client, lists for the function."""

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import Depends, Header, HTTPException, Query, Request
from pydantic import BaseModel, Field

from chutes.chute import Batch, Chute
from chutes.errors import DefinitionError
from chutes.testing import AsyncTestClient
from support.serving import new_chute, serving


def failing(chute, text: list[str]) -> list[Any]:
    """What the text asks for."""
    if "all" in text:
        raise HTTPException(418, "all of us")
    if "exit" in text:
        raise SystemExit(3)
    special = {
        "value": ValueError("secret"),
        "http": HTTPException(409, "only me"),
        "cancelled": asyncio.CancelledError(),
        "none": None,
    }
    if "short" in text:
        return []
    if "odd" in text:
        return {"no": "list"}
    return [special.get(one, one) for one in text]


async def failing_async(chute, text: list[str]) -> list[Any]:
    return failing(chute, text)


def hidden(function):
    """A decorator that hides what kind of function it is on."""

    def call(chute, text: list[str]) -> list[Any]:
        return function(chute, text)

    return call


@pytest.mark.parametrize("run", [failing, failing_async, hidden(failing_async)])
async def test_an_exception_in_the_list_fails_its_item_alone(run, caplog):
    chute = new_chute()
    chute.cord("/run", batch=Batch())(run)
    async with AsyncTestClient(chute) as client:
        texts = ["good", "value", "http", "cancelled", "none", "good"]
        responses = await asyncio.gather(*(client.post("/run", json={"text": text}) for text in texts))
    assert [one.status_code for one in responses] == [200, 500, 409, 500, 200, 200]
    assert [one.json() for one in (responses[0], responses[2], responses[4])] == [
        "good",
        {"detail": "only me"},
        None,
    ]
    assert "secret" in caplog.text
    assert "secret" not in responses[1].text


@pytest.mark.parametrize("run", [failing, failing_async, hidden(failing_async)])
@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("all", 418, ""),
        ("short", 500, "was given a batch of 1 and returned 0 results"),
        ("odd", 500, "was given a batch of 1 and returned dict"),
    ],
)
async def test_what_fails_the_batch_fails_all_its_items(run, text, status, said, caplog):
    with serving(run, batch=Batch()) as client:
        response = client.post("/run", json={"text": text})
        assert response.status_code == status
        assert said in caplog.text
        assert "Traceback" not in caplog.text
        assert client.post("/run", json={"text": "good"}).json() == "good"


def test_a_function_that_ends_the_process_fails_its_batch_alone(caplog):
    with serving(failing, batch=Batch()) as client:
        assert client.post("/run", json={"text": "exit"}).status_code == 500
        assert "raised SystemExit in a batch" in caplog.text
        assert f'File "{__file__}"' in caplog.text
        assert client.post("/run", json={"text": "good"}).json() == "good"


def test_arrays_are_results_row_by_row():
    numpy = pytest.importorskip("numpy")

    def embed(chute, text: list[str]) -> Any:
        return numpy.array([[len(one), 1.5] for one in text])

    with serving(embed, batch=Batch()) as client:
        assert client.post("/run", json={"text": "four"}).json() == [4.0, 1.5]


class Item(BaseModel):
    text: Annotated[str, Field(min_length=1)]
    count: int = 1


def test_a_client_sends_one_model_and_the_function_gets_a_list_of_them():
    def run(chute, items: list[Item]) -> list[Item]:
        assert all(isinstance(item, Item) for item in items)
        return items

    with serving(run, batch=Batch()) as client:
        assert client.post("/run", json={"text": "a"}).json() == {"text": "a", "count": 1}
        refused = client.post("/run", json={"text": ""})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "text"])
        operation = client.get("/openapi.json").json()["paths"]["/run"]["post"]
    reference = {"$ref": "#/components/schemas/Item"}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == reference
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == reference


def test_the_output_schema_is_that_of_one_result():
    async def run(chute, text: list[str]) -> Any:
        return [{"text": one, "count": "2", "more": 1} for one in text]

    with serving(run, batch=Batch(), output_schema=Item) as client:
        assert client.post("/run", json={"text": "a"}).json() == {"text": "a", "count": 2}


def test_what_fastapi_injects_comes_as_lists_too():
    def user(name: Annotated[str, Header()]) -> str:
        return name.upper()

    async def run(
        chute,
        request: list[Request],
        text: Annotated[list[str], Query(max_length=3)],
        user: list[str] = Depends(user),
        count: list[int] = 1,
    ) -> list[Any]:
        return [[one.url.path, *rest] for one, *rest in zip(request, text, user, count, strict=True)]

    with serving(run, "/ask", method="GET", batch=Batch()) as client:
        answer = client.get("/ask", params={"text": "abc", "count": 2}, headers={"name": "ann"})
        assert answer.json() == ["/ask", "abc", "ANN", 2]
        assert client.get("/ask", params={"text": "abcd"}, headers={"name": "ann"}).status_code == 422


def test_the_chute_may_have_a_hint_and_what_is_left_over_is_ignored():
    def run(self: Chute, text: list[str], *args: int, **kwargs: str) -> list[str]:
        return [f"{one} {args} {kwargs}" for one in text]

    with serving(run, batch=Batch()) as client:
        assert client.post("/run", json={"text": "a", "more": 1}).json() == "a () {}"


def test_positional_parameters_are_lists_too():
    def run(chute, text: list[str], /, count: list[int]) -> list[str]:
        return [one * number for one, number in zip(text, count, strict=True)]

    with serving(run, batch=Batch()) as client:
        assert client.post("/run", json={"text": "ab", "count": 2}).json() == "abab"


async def test_a_direct_call_takes_and_returns_lists():
    chute = new_chute()

    @chute.cord("/run", batch=Batch(max_size=2))
    async def run(self, text: list[str]) -> list[str]:
        return [one.upper() for one in text]

    @chute.cord("/other")
    async def other(self):
        return await self.run(["a", "b", "c"])

    assert await chute.run(["a"]) == ["A"]
    async with AsyncTestClient(chute) as client:
        assert (await client.post("/other")).json() == ["A", "B", "C"]


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_both_ways_put_calls_together(fast_path, monkeypatch):
    monkeypatch.setenv("CHUTES_FAST_PATH", fast_path)
    with serving(failing, batch=Batch()) as client:
        assert client.post("/run", json={"text": "a"}).json() == "a"
        assert client.post("/run", json={"text": "http"}).status_code == 409
        assert 'chutes_batch_size_count{cord="failing"} 2.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"max_size": 0},
            "Invalid max_size 0 of a Batch. It takes a whole number, 1 or more, for example max_size=32.",
        ),
        ({"max_size": True}, "Invalid max_size True"),
        ({"max_wait": -1}, "Invalid max_wait -1 of a Batch. It takes seconds"),
        ({"max_wait": "5ms"}, "Invalid max_wait '5ms'"),
        ({"max_queue": 0}, "Invalid max_queue 0"),
        ({"size_of": 3}, "Invalid size_of 3 of a Batch. It takes a function"),
    ],
)
def test_a_batch_with_a_wrong_value_says_which(values, said):
    with pytest.raises(DefinitionError) as caught:
        Batch(**values)
    assert said in str(caught.value)


def test_a_cord_that_cannot_be_batched_says_why():
    chute = new_chute()

    def plain(self, text: str): ...
    def nothing(self): ...
    def stream(self, text: list[str]): ...
    def quoted(self, text: "str"): ...

    for function, options, said in (
        (plain, {"batch": Batch()}, "'text' is no list: write `text: list[str]`"),
        (nothing, {"batch": Batch()}, "takes nothing that could be put into a batch"),
        (stream, {"batch": Batch(), "stream": True}, "has both batch= and stream=True"),
        (stream, {"batch": Batch(), "passthrough": True}, "has both batch= and passthrough=True"),
        (stream, {"batch": 8}, "Invalid batch 8 for cord 'stream'. Write batch=Batch("),
    ):
        with pytest.raises(DefinitionError) as caught:
            chute.cord("/run", **options)(function)
        assert said in str(caught.value)
    chute.cord("/run", batch=Batch())(quoted)
    with pytest.raises(DefinitionError, match=r"write `text: list\[str\]`"):
        _ = chute.app
