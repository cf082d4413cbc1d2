"""What a proxy says of its client."""

import pytest

from chutes.serve.proxies import behind_proxies


async def seen_by_the_application(headers, client="127.0.0.1", trusted="127.0.0.1"):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    scope = {"type": "http", "scheme": "http", "client": (client, 1), "headers": headers}
    await behind_proxies(app, trusted)(scope, None, None)
    return seen[0]["scheme"], seen[0]["client"][0]


@pytest.mark.parametrize(
    ("headers", "client", "expected"),
    [
        ([], "127.0.0.1", ("http", "127.0.0.1")),
        ([(b"x-forwarded-proto", b"https")], "127.0.0.1", ("https", "127.0.0.1")),
        ([(b"host", b"x"), (b"x-forwarded-for", b"10.0.0.9")], "127.0.0.1", ("http", "10.0.0.9")),
        ([(b"x-forwarded-for", b"10.0.0.9")], "10.0.0.1", ("http", "10.0.0.1")),
    ],
)
async def test_a_trusted_proxy_is_believed_and_nobody_else(headers, client, expected):
    assert await seen_by_the_application(headers, client) == expected


async def test_the_lifespan_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await behind_proxies(app, "127.0.0.1")({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
