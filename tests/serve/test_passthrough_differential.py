"""Whatever is asked, and whatever is answered: through the chute it is the same as without it."""

import base64
import string

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.http_servers import asgi_server
from support.serving import new_chute
from support.upstream import encoded, forward, upstream

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# What one connection, or the way through the chute, has of its own.
OWN = {
    "connection", "content-length", "date", "host", "keep-alive", "server", "transfer-encoding", "x-answer", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-proto", "x-request-id",
}  # fmt: skip
NAMES = st.from_regex(r"[Xx]-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True)
VALUES = st.text(string.ascii_letters + string.digits + ' \t,;="/()<>@:\\[]?{}é', max_size=30).map(str.strip)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
QUERIES = st.text(string.ascii_letters + string.digits + "&=%+;,/?:@!$'()*-._~", max_size=30)
STATUSES = st.sampled_from(
    [200, 201, 202, 204, 206, 299, 300, 302, 304, 307, 400, 401, 404, 409, 422, 499, 500, 502, 529]
)


class Pair:
    """Whom to ask; it has no long text for hypothesis to write out."""

    def __init__(self, other, client, urls):
        self.other, self.client, self.urls = other, client, urls


@pytest.fixture(scope="module")
def pair():
    """A client of the upstream, one of a chute before it, and one of a chute whose requests take FastAPI's way."""
    with (
        upstream() as other,
        pytest.MonkeyPatch.context() as patch,
        httpx2.Client(trust_env=False, timeout=30) as client,
    ):
        chutes = []
        for way in ("on", "off"):
            patch.setenv("CHUTES_FAST_PATH", way)
            chute = new_chute(concurrency=8)
            for verb in VERBS:
                forward(chute, "/any", other.port, method=verb)
            _ = chute.app
            chutes.append(chute)
        with asgi_server(chutes[0], lifespan="on") as short, asgi_server(chutes[1], lifespan="on") as long:
            yield Pair(other, client, (other.url, short, long))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    verb=st.sampled_from(VERBS),
    query=QUERIES,
    sent=HEADERS,
    body=st.binary(max_size=3000),
    chunked=st.booleans(),
    status=STATUSES,
    back=HEADERS,
    answer=st.binary(max_size=3000),
    chunks=st.integers(0, 5),
)
def test_the_chute_changes_nothing(pair, verb, query, sent, body, chunked, status, back, answer, chunks):
    client = pair.client
    if status in (204, 304):
        answer, chunks = b"", 0
    elif not chunks:
        back = [*back, ("content-length", str(len(answer)))]
    told = encoded(status, back, answer, chunks)
    found = []
    for url in pair.urls:
        request = client.build_request(
            verb,
            f"{url}/any",
            headers=[("X-Answer", told), *[(name, value.encode("latin-1")) for name, value in sent]],
            content=iter([body[:100], body[100:]]) if chunked else body,
        )
        request.url = request.url.copy_with(raw_path=b"/any" + (b"?" + query.encode() if query else b""))
        response = client.send(request, stream=True)
        content = b"".join(response.iter_raw())
        seen = pair.other.requests[-1]
        found.append((_seen(seen), response.status_code, _kept(response.headers.multi_items()), content))
        if verb == "HEAD" and "content-length" in response.headers:
            assert int(response.headers["content-length"]) == len(answer)
    assert found[0] == found[1]
    assert found[0] == found[2]


def _seen(request):
    return (
        request["method"],
        request["path"],
        request["query"],
        base64.b64decode(request["body"]),
        _kept(request["headers"]),
    )


def _kept(headers):
    return [(name.lower(), value) for name, value in headers if name.lower() not in OWN]
