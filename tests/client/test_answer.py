"""The errors of calls: their class, and a text that says what to do next."""

import asyncio

import httpx2
import pytest

from chutes.client import AsyncClient, Client
from chutes.client.answer import readable
from chutes.errors import CallError, CallFailed, CallRefused, CallRejected, ConnectionFailed
from support.http_servers import http_answer


@pytest.fixture
def chute(url):
    with Client(url, retries=0) as client:
        yield client


def answering(status, content=b"", **headers):
    """A client of a server that always answers so."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(status, content=content, headers=headers)
    )
    return Client("http://user:secret@chute:8000/base", transport=transport, retries=0)


def test_what_a_422_says_is_put_in_words(chute):
    with pytest.raises(
        CallRejected, match=r"answered 422: query: Field required; limit: Input should be"
    ) as caught:
        chute.call("/search", {"limit": "many"})
    assert caught.value.status == 422
    assert caught.value.detail[0]["loc"] == ["body", "query"]


def test_a_500_names_the_request_id_to_look_for(chute, remote):
    with pytest.raises(CallFailed) as caught:
        chute.call("/broken")
    identity = remote.state.seen[0]
    assert caught.value.request_id == identity
    assert f"500: Internal Server Error. The chute's log has the reason, under request id {identity}." in str(
        caught.value
    )


def test_a_page_of_a_proxy_is_cut_to_its_title(chute):
    with pytest.raises(
        CallFailed, match=r"502: a page of HTML, perhaps from a proxy .*: '502 Bad Gateway'\."
    ) as caught:
        chute.call("/proxy")
    assert "<" not in str(caught.value)


def test_a_missing_key_says_where_a_key_goes(chute):
    with pytest.raises(CallRejected, match=r"401: No such key\. Give the client a key .*api_key="):
        chute.call("/closed")


def test_a_redirect_says_where_to(chute):
    with pytest.raises(CallRejected, match=r"answered 307: .*It points to /embed: call that address instead"):
        chute.call("/moved")


def test_an_unknown_path_points_to_the_docs(chute):
    with pytest.raises(CallRejected, match=r"404: Not Found\. The chute's /docs page lists its paths"):
        chute.call("/nowhere")


def test_errors_in_openais_form_are_readable(chute):
    with pytest.raises(CallRejected, match="404: The model does not exist") as caught:
        chute.call("/openai")
    assert caught.value.detail == {"error": {"message": "The model does not exist", "code": 404}}


def test_a_429_without_a_wait_is_a_refusal():
    with (
        answering(429) as chute,
        pytest.raises(CallRefused, match=r"429: Too Many Requests\. The chute is busy") as caught,
    ):
        chute.call("/x")
    assert caught.value.retry_after is None


def test_messages_hold_neither_the_query_nor_a_password():
    with answering(500) as chute, pytest.raises(CallFailed) as caught:
        chute.call("/x?token=hidden")
    assert "POST http://chute:8000/base/x was answered 500" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_the_id_that_was_sent_stands_in_for_one_that_is_missing():
    with answering(500, b'{"detail": "x"}') as chute, pytest.raises(CallFailed) as caught:
        chute.call("/x", headers={"X-Request-ID": "mine"})
    assert caught.value.request_id == "mine"


def test_a_binary_error_is_still_an_error():
    with answering(500, b"\xff\x00") as chute, pytest.raises(CallFailed):
        chute.call("/x")


def test_a_document_that_is_none_says_so():
    expected = pytest.raises(CallFailed, match=r"openapi\.json is not an OpenAPI document")
    with answering(200, b"<html>", content_type="text/html") as chute, expected:
        chute.call("embed")


def test_where_there_is_no_document_a_405_stays_a_405():
    with answering(405, b'{"detail": "Method Not Allowed"}') as chute, pytest.raises(CallRejected) as caught:
        chute.call("/x")
    assert "/base/x was answered 405" in str(caught.value)


def test_health_from_something_that_is_no_chute_is_an_error():
    with answering(503, b"<html>", content_type="text/html") as chute, pytest.raises(CallRefused):
        chute.health()
    with (
        answering(200, b"well", content_type="text/plain") as chute,
        pytest.raises(CallFailed, match="address of a chute"),
    ):
        chute.health()
    with answering(404) as chute, pytest.raises(CallRejected):
        chute.ready()


def test_a_header_that_cannot_be_sent_is_the_callers_mistake(chute):
    with pytest.raises(CallRejected, match="cannot be sent"):
        chute.call("/embed", headers={"X-Bad": "a\nb"}, text="x")


def test_an_answer_in_a_broken_encoding_is_a_failure(scripted):
    server = scripted(http_answer(200, b"nope", Content_Encoding="gzip"))
    with (
        Client(server.url) as chute,
        pytest.raises(ConnectionFailed, match=r"before the answer to .* was whole"),
    ):
        chute.call("/x")


def test_what_is_not_http_is_a_failed_connection(scripted):
    server = scripted(b"SSH-2.0-OpenSSH_9.6\r\n")
    with Client(server.url) as chute, pytest.raises(ConnectionFailed):
        chute.call("/x")


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ("plain", "plain"),
        ("two\n  lines", "two lines"),
        ([{"loc": ["body", "a", 0, "b"], "msg": "bad"}], "a.0.b: bad"),
        ([{"loc": ["body"], "msg": "JSON decode error"}], "body: JSON decode error"),
        ([{"loc": ["query", "q"], "msg": "bad"}, {"msg": "worse"}], "q: bad; worse"),
        ([1, 2], "[1, 2]"),
        ({"detail": "inside"}, "inside"),
        ({"message": "said"}, "said"),
        ({"error": "flat"}, "flat"),
        ({"other": 1}, '{"other": 1}'),
        (
            "<style>x{}</style><p>a &amp; b</p>",
            "a page of HTML, perhaps from a proxy before the chute: 'a & b'",
        ),
    ],
)
def test_details_are_put_in_words(detail, text):
    assert readable(detail) == text


def test_a_long_detail_is_cut():
    assert readable("x" * 1000) == "x" * 500 + "…"


async def test_the_async_client_raises_the_same(url, remote):
    async with AsyncClient(url, retries=0) as chute:
        with pytest.raises(CallRejected, match="query: Field required"):
            await chute.call("/search", {})
        with pytest.raises(CallRefused):
            await chute.call("/busy?times=9")
        assert (await chute.request("/broken")).status_code == 500


async def test_the_async_client_calls_in_every_way(url, remote, tmp_path):
    cat = tmp_path / "cat.png"
    cat.write_bytes(b"123")
    async with AsyncClient(url) as chute:
        assert await chute.call("embed", text="hello") == {"vector": [5, 0.5]}
        assert (await chute.call("/stats", limit=3))["limit"] == 3
        assert (await chute.call("/caption", image=cat))["sizes"] == [3]
        assert await chute.call("/image") == b"\x89PNG\x00"
        assert (await chute.health())["status"] == "healthy"
        assert await chute.ready()
        assert "/embed" in (await chute.schema())["paths"]
        answers = await asyncio.gather(*(chute.call("/embed", text="x" * n) for n in range(150)))
    assert [answer["vector"][0] for answer in answers] == list(range(150))


async def test_a_cancelled_call_lets_go_of_its_files_and_connection(silent_url, tmp_path):
    cat = tmp_path / "cat.png"
    cat.write_bytes(b"123")
    async with AsyncClient(silent_url) as chute:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chute.call("/caption", image=cat), 0.05)


async def test_an_application_can_be_called_without_a_network(remote):
    async with AsyncClient("http://chute", transport=httpx2.ASGITransport(app=remote)) as chute:
        assert await chute.call("embed", text="hello") == {"vector": [5, 0.5]}


def test_every_error_of_a_call_is_one_family():
    assert all(
        issubclass(each, CallError) for each in (CallFailed, CallRefused, CallRejected, ConnectionFailed)
    )
