"""The short way of a cord answers as FastAPI's own way does, whatever the request."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings

from serve.fast_path import inputs, requests
from serve.fast_path.twins import twins


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def gallery(loop):
    manager = twins(inputs.define)
    yield loop.run(manager.__aenter__())
    loop.run(manager.__aexit__(None, None, None))


@settings(
    max_examples=3000,
    deadline=None,
    database=None,
    derandomize=False,
    suppress_health_check=list(HealthCheck),
)
@given(call=requests.calls(tuple(f"/{name}" for name in inputs.FORMS)))
def test_body(loop, gallery, call):
    loop.run(gallery.compare(call))
