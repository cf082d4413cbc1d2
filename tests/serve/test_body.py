"""The limits on the sizes of bodies, without a server."""

import pytest
from starlette.exceptions import HTTPException

from chutes.errors import BodyTooLarge
from chutes.serve.body import SMALL, Bodies

LARGEST = 4 * SMALL


@pytest.fixture
def bodies():
    return Bodies(LARGEST)


def sent(*sizes, complete=False):
    """A server's `receive` that gives pieces of these sizes."""
    pieces = [{"type": "http.request", "body": bytes(size), "more_body": True} for size in sizes]
    if complete:
        pieces[-1]["more_body"] = False

    async def receive():
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    return receive


def announced(bodies, size, receive):
    return bodies.of({"http_version": "1.1"}, {b"content-length": str(size).encode()}, receive)


def chunked(bodies, receive):
    return bodies.of({"http_version": "1.1"}, {b"transfer-encoding": b"chunked"}, receive)


async def held(bodies, *sizes):
    """A body of which so much has come, and more is to come."""
    body = chunked(bodies, sent(*sizes))
    for _ in sizes:
        await body.receive()
    return body


@pytest.mark.parametrize("size", [0, 1, SMALL])
def test_a_small_body_and_none_are_not_counted(bodies, size):
    assert announced(bodies, size, sent()) is None
    assert bodies.of({"http_version": "1.1"}, {}, sent()) is None


def test_a_body_that_is_announced_as_too_large_is_refused_unread(bodies):
    with pytest.raises(BodyTooLarge, match=str(LARGEST)):
        announced(bodies, LARGEST + 1, sent())


async def test_a_body_is_held_from_a_certain_size_until_it_is_complete(bodies):
    body = announced(bodies, 3 * SMALL, sent(SMALL, SMALL, SMALL, complete=True))
    seen = []
    for _ in range(3):
        await body.receive()
        seen.append(bodies.held)
    assert seen == [0, 2 * SMALL, 0]


async def test_a_body_that_turns_out_too_large_is_413(bodies):
    body = chunked(bodies, sent(LARGEST, 1))
    await body.receive()
    with pytest.raises(HTTPException) as caught:
        await body.receive()
    assert caught.value.status_code == 413
    body.close()
    assert bodies.held == 0


async def test_bodies_beyond_what_may_be_on_its_way_are_503_and_the_others_go_on(bodies):
    others = [await held(bodies, LARGEST) for _ in range(16)]
    assert bodies.held == bodies.most
    with pytest.raises(HTTPException) as caught:
        await held(bodies, SMALL, 1)
    assert (caught.value.status_code, caught.value.headers) == (503, {"Retry-After": "1"})
    assert bodies.held == bodies.most

    assert announced(bodies, SMALL, sent()) is None
    await others[0].receive()
    await held(bodies, SMALL, 1)


@pytest.mark.parametrize("how", ["left", "closed"])
async def test_what_a_body_held_is_free_again_when_its_request_is_over(bodies, how):
    body = await held(bodies, SMALL, 5)
    assert bodies.held == SMALL + 5
    if how == "left":
        assert (await body.receive())["type"] == "http.disconnect"
    body.close()
    body.close()
    assert bodies.held == 0
