"""The short way of a cord answers as FastAPI's own way does, whatever the request."""

import asyncio
import inspect
import json
import os

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, example, given, seed, settings

from serve.fast_path import inputs, queries, requests
from serve.fast_path.asgi import JSON, MARK, Call, drive
from serve.fast_path.twins import twins

POSTS = tuple(f"/{name}" for name in inputs.FORMS)
SEED = int(os.environ.get("FAST_PATH_SEED") or int.from_bytes(os.urandom(4)))
QUICK = settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=6000, derandomize=False)


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def posts(loop):
    manager = twins(inputs.define)
    yield loop.run(manager.__aenter__())
    loop.run(manager.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def gets(loop):
    manager = twins(queries.define)
    yield loop.run(manager.__aenter__())
    loop.run(manager.__aexit__(None, None, None))


@pytest.fixture
def shown_seed():
    print(f"FAST_PATH_SEED={SEED} gives these requests again.")


def post(path, body, **options):
    return Call(path=path, chunks=(body,), **options)


@QUICK
@given(call=requests.calls(POSTS))
@example(call=post("/mapping", b'{"a": 1, "b": 2, "a": 3}'))
@example(call=post("/mapping", b'{"a": ' + b"1" * 4301 + b"}"))
@example(call=post("/mapping", b'{"a": ' + b"[" * 199 + b"]" * 199 + b"}"))
@example(call=post("/mapping", b'{"a": ' + b"[" * 1100 + b"]" * 1100 + b"}"))
@example(call=post("/mapping", b'{"a": NaN, "b": -Infinity, "c": -0, "d": -0.0, "e": 1e400, "f": 1E-400}'))
@example(call=post("/mapping", b'{"a": 12345678901234567890.123456789, "b": 2.2250738585072011e-308}'))
@example(call=post("/mapping", b'{"a": "\\ud83d"}'))
@example(call=post("/mapping", b'{"a": "\xed\xa0\xbd"}'))
@example(call=post("/mapping", b'\xef\xbb\xbf{"a": 1}'))
@example(call=post("/mapping", '{"a": "ü"}'.encode("utf-16")))
@example(call=post("/by_name", b""))
@example(call=post("/all_default", b""))
@example(call=post("/all_default", b"null"))
@example(call=post("/nullable", b"null"))
@example(call=post("/strict", b'{"when": "2024-01-01T12:00:00Z"}'))
@example(call=post("/rich", b'{"either": "2024-01-01", "amount": 1e22}'))
@example(call=post("/plain", b'{"text": "a"}', headers=(MARK, JSON, (b"content-type", b"text/plain"))))
@example(call=post("/plain", b'{"text": "a"}', headers=(MARK, (b"content-type", b"text/plain"), JSON)))
@example(call=post("/plain", b'{"text": "a"}', headers=(JSON, (b"content-length", b"1"))))
@example(call=post("/plain", b'{"text": "a"}', headers=(JSON, (b"content-length", b"999999999999"))))
@example(call=post("/plain", b'{"text": "a"}', headers=(JSON, (b"content-length", b"-1"))))
def test_a_body_is_answered_alike(loop, posts, call):
    loop.run(posts.compare(call))


@QUICK
@given(call=requests.gets(queries.PATHS))
def test_a_query_is_answered_alike(loop, gets, call):
    loop.run(gets.compare(call))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@LONG
@seed(SEED)
@given(call=requests.calls(POSTS))
def test_thousands_of_bodies_are_answered_alike(loop, posts, shown_seed, call):
    loop.run(posts.compare(call))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@LONG
@seed(SEED)
@given(call=requests.gets(queries.PATHS))
def test_thousands_of_queries_are_answered_alike(loop, gets, shown_seed, call):
    loop.run(gets.compare(call))


GOOD = {
    "aliased": {"the text": "ab", "n": 2, "inner": {"count": 3}},
    "either_name": {"the text": "ab"},
    "nested": {"inner": {"text": "ab"}, "items": [{"text": "ab"}], "by_name": {"a": {"text": "x"}}},
    "strict": {"text": "ab", "ratio": 1},
    "rich": {
        "when": 1,
        "either": "2024-01-01",
        "kind": "blue",
        "unique": [1, 1],
        "link": "https://example.org",
    },
    "box": {"inner": {"text": "ab"}},
    "names": ["ab", "cd"],
    "pets": {"kind": "cat"},
    "numbers": {"a": "1"},
    "renamed": {"json": "ab", "_count": 2, "copy": "true"},
    "described": {"text": "ab", "n": 2},
    "mixed": {"inner": {"text": "ab"}, "kind": "red", "when": "2024-01-01T00:00:00Z"},
    "spread": {"text": "ab", "count": 2},
    "spread_aliased": {"the text": "ab", "n": 2},
    "dumped": {"day": "2024-01-01"},
    "a_list": [{"text": "ab"}, {"text": "cd", "count": 0}],
    "all_default": {},
    "defaulted": {"text": "x"},
}


@pytest.mark.parametrize("name", inputs.FORMS)
def test_every_form_of_body_has_a_short_way(loop, posts, name):
    body = json.dumps(GOOD.get(name, {"text": "ab"})).encode()
    for headers in ((JSON, MARK), (MARK, (b"content-type", b"application/json; charset=utf-8"))):
        for chunks in ((body,), (b"", body[:3], b"", body[3:], b"")):
            call = Call(path=f"/{name}", headers=headers, chunks=chunks)
            assert loop.run(posts.compare(call, short=True)).status == 200


# FastAPI may look for several values, or for several names, of these.
LONG_WAY = ("tags", "items", "pair", "maybe_list", "optional_list", "model")


@pytest.mark.parametrize("name", queries.HINTS)
def test_every_query_parameter_with_one_value_has_a_short_way(loop, gets, name):
    # A model or a dataclass takes its fields from the query.
    good = {"when": "2024-01-01T00:00:00", "day": "2024-01-01", "flag": "on", "colour": "red", "word": "a"}
    good |= {"unknown": "d9428888-122b-11e1-b85c-61cd3cbb3210", "pair": "1"}
    value = good.get(name, "7")
    for kind in ("needs", "may"):
        call = Call(path=f"/{kind}/{name}", method="GET", query=f"count={value}&other=1&text=a".encode())
        loop.run(gets.compare(call, short=name not in LONG_WAY))


def test_each_request_has_a_default_made_for_it(loop, gets):
    for _ in range(3):
        answer = loop.run(gets.compare(Call(path="/made_anew", method="GET")))
        assert answer.body == b'"anew"'


def fastapi_with(chute):
    """FastAPI alone with the functions of the forms that it takes too."""
    app = FastAPI(exception_handlers=chute.app.exception_handlers)
    app.seen = []
    for name, annotation in inputs.WHOLE.items():
        show = inputs.whole(annotation)

        async def endpoint(item, show=show):
            return await show(app, item)

        endpoint.__annotations__["item"] = annotation
        endpoint.__signature__ = _without_the_last(endpoint)
        app.post(f"/{name}")(endpoint)
    return app


def _without_the_last(function):
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[:-1])


@pytest.fixture(scope="module")
def plain_fastapi(posts):
    return fastapi_with(posts.short.chute)


@QUICK
@given(call=requests.calls(tuple(f"/{name}" for name in inputs.WHOLE)))
def test_one_model_is_answered_as_by_fastapi_alone(loop, posts, plain_fastapi, call):
    _compare_with_fastapi(loop, posts, plain_fastapi, call)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@LONG
@seed(SEED)
@given(call=requests.calls(tuple(f"/{name}" for name in inputs.WHOLE)))
def test_thousands_of_models_are_answered_as_by_fastapi_alone(loop, posts, plain_fastapi, shown_seed, call):
    _compare_with_fastapi(loop, posts, plain_fastapi, call)


def _compare_with_fastapi(loop, posts, app, call):
    answer = loop.run(posts.compare(call))
    if answer.status not in (200, 400, 422):
        return
    seen = list(posts.short.seen)
    app.seen.clear()
    expected = loop.run(drive(app, call))
    headers = [header for header in answer.headers if header[0] != b"x-request-id"]
    assert (answer.status, headers, answer.body) == (expected.status, expected.headers, expected.body)
    assert seen == app.seen
