"""On the short way each result, each stream and each exception is answered as FastAPI's own way answers it."""

import json

import pytest

from serve.fast_path import outputs, results, streams
from serve.fast_path.asgi import Call
from serve.fast_path.twins import twins


def behind_a_middleware(chute):
    """The cords behind a middleware that does nothing."""
    outputs.define(chute)

    class Through:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    chute.app.add_middleware(Through)


def behind_another_task(chute):
    """The cords behind the kind of middleware that runs the rest in a task of its own."""
    outputs.define_with_handlers(chute)

    @chute.middleware("http")
    async def through(request, call_next):
        response = await call_next(request)
        response.headers["x-through"] = "1"
        return response


DEFINITIONS = (outputs.define, outputs.define_with_handlers, behind_a_middleware, behind_another_task)


def each_definition(*quick):
    """Runs a test with every definition: those named here always, the others in the slow run."""
    slow = [pytest.param(one, marks=pytest.mark.slow) for one in DEFINITIONS if one not in quick]
    return pytest.mark.parametrize("define", [*quick, *slow])


def asking(path, *, extensions=None, **fields):
    return Call(path=path, chunks=(json.dumps(fields).encode(),), extensions=extensions)


@each_definition(outputs.define)
async def test_every_result_is_sent_alike(define):
    async with twins(define) as both:
        for name in (*outputs.ANSWERS, "threaded"):
            for kind in results.RESULTS:
                await both.compare(asking(f"/{name}", kind=kind))


@each_definition(outputs.define, outputs.define_with_handlers)
async def test_every_exception_is_answered_alike(define):
    async with twins(define) as both:
        for path in ("/raises", "/raises_in_a_thread"):
            for kind in results.ERRORS:
                await both.compare(asking(path, kind=kind))
                await both.compare(asking(path, kind=kind, extensions={"chutes.raise_errors": {}}))


@each_definition(outputs.define)
async def test_every_stream_is_sent_alike(define):
    async with twins(define) as both:
        for name in streams.STREAM_NAMES:
            for kind in streams.CHUNKS:
                await both.compare(asking(f"/{name}", kind=kind))


@each_definition(outputs.define_with_handlers)
async def test_every_stream_that_breaks_is_broken_alike(define):
    async with twins(define) as both:
        for name in streams.STREAM_NAMES:
            for kind in ("texts", "dicts", "nothing"):
                for place in range(min(len(streams.CHUNKS[kind]), 2) + 1):
                    for error in ("own", "other", "http", "handler fails"):
                        await both.compare(asking(f"/{name}", kind=kind, fail_at=place, error=error))


async def test_results_and_streams_do_take_the_short_way():
    async with twins(outputs.define) as both:
        for name in (*outputs.ANSWERS, "threaded"):
            for kind in ("text", "dict", "model", "fitting", "response", "stream"):
                answer = await both.compare(asking(f"/{name}", kind=kind))
                assert answer.short or answer.status == 500, (name, kind)
        for name in streams.STREAM_NAMES:
            await both.compare(asking(f"/{name}", kind="texts"), short=True)
        await both.compare(asking("/with_background", kind="text"), short=False)
