"""However a call ends, its function runs once."""

import pytest
from fastapi import HTTPException, Request
from pydantic import BaseModel

from chutes.testing import TestClient
from support.serving import new_chute


class Body(BaseModel):
    value: int = 0


@pytest.fixture(params=["bare", "middleware", "no short way"])
def chute(request, monkeypatch):
    if request.param == "no short way":
        monkeypatch.setenv("CHUTES_FAST_PATH", "off")
    chute = new_chute()
    chute.calls = []
    if request.param == "middleware":

        @chute.middleware("http")
        async def through(request, call_next):
            return await call_next(request)

    return chute


def outcome(value):
    if value == 0:
        return "fine"
    if value == 1:
        raise HTTPException(418, "no")
    if value == 2:
        raise ValueError("x")
    return object()


async def by_name(self, value: int = 0):
    self.calls.append(value)
    return outcome(value)


async def whole(self, body: Body):
    self.calls.append(body.value)
    return outcome(body.value)


async def whole_dict(self, body: dict):
    self.calls.append(body["value"])
    return outcome(body["value"])


def synchronous(self, value: int = 0):
    self.calls.append(value)
    return outcome(value)


async def with_request(self, request: Request):
    value = (await request.json())["value"]
    self.calls.append(value)
    return outcome(value)


async def stream(self, value: int = 0):
    self.calls.append(value)
    yield outcome(value)


@pytest.mark.parametrize("function", [by_name, whole, whole_dict, synchronous, with_request, stream])
@pytest.mark.parametrize(("value", "status"), [(0, 200), (1, 418), (2, 500), (3, 500)])
def test_a_call_runs_once_however_it_ends(chute, function, value, status):
    chute.cord("/run", stream=function is stream)(function)
    with TestClient(chute) as client:
        assert client.post("/run", json={"value": value}).status_code == status
        assert chute.calls == [value]
        assert client.post("/run", json={"value": value}).status_code == status
        assert chute.calls == [value, value]


@pytest.mark.parametrize("value", [0, 1, 2])
def test_a_call_by_query_runs_once_however_it_ends(chute, value):
    chute.cord("/run", method="GET")(by_name)
    with TestClient(chute) as client:
        client.get(f"/run?value={value}")
        assert chute.calls == [value]
        assert client.get("/run?value=x").status_code == 422
        assert chute.calls == [value]


def test_an_earlier_route_that_takes_the_path_wins(chute):
    @chute.cord("/{anything}")
    async def anything(self, anything: str):
        return f"anything: {anything}"

    @chute.cord("/run")
    async def run(self):
        return "run"

    @chute.cord("/early")
    async def early(self):
        return "early"

    with TestClient(chute) as client:
        assert client.post("/run").json() == "anything: run"
