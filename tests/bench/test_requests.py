"""Calls as bytes: the same requests that the client would send."""

import json
from pathlib import Path

import pytest

from chutes.bench.requests import prepare
from chutes.client import Call, Client
from chutes.errors import CallRejected, ConnectionFailed
from support.http_servers import ScriptedServer, asgi_server, http_answer, unused_address
from support.remote_chute import remote_chute


@pytest.fixture(scope="module")
def url():
    with asgi_server(remote_chute()) as address:
        yield address


def target_of(base, *calls, **headers):
    with Client(base, retries=0) as client:
        return prepare(client, base, calls, headers)


def parts(wire):
    head, _, body = wire.data.partition(b"\r\n\r\n")
    line, *fields = head.decode("ascii").split("\r\n")
    return line, {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}, body


def test_arguments_become_a_body_of_json(url):
    target = target_of(url, Call(target="/embed", arguments={"text": "grüße"}))
    line, fields, body = parts(target.requests[0])

    assert line == "POST /embed HTTP/1.1"
    assert json.loads(body) == {"text": "grüße"}
    assert fields["content-length"] == str(len(body))
    assert fields["content-type"] == "application/json"
    assert fields["host"] == url.removeprefix("http://")
    assert (target.method, target.url) == ("POST", f"{url}/embed")


def test_the_method_and_the_path_come_from_the_chute(url):
    target = target_of(url, Call(target="user", arguments={"user_id": "a b"}, method="GET"))
    assert parts(target.requests[0])[0] == "GET /users/a%20b HTTP/1.1"

    target = target_of(url, Call(target="/stats", arguments={"limit": 3}))
    assert parts(target.requests[0])[0] == "GET /stats?limit=3 HTTP/1.1"
    assert target.url == f"{url}/stats"


def test_each_input_is_a_request(url):
    calls = [Call(target="/embed", arguments={"text": text}) for text in ("a", "b")]
    bodies = [json.loads(parts(request)[2]) for request in target_of(url, *calls).requests]
    assert bodies == [{"text": "a"}, {"text": "b"}]


def test_files_are_read_once_and_for_all(url, tmp_path):
    picture = Path(tmp_path / "cat.png")
    picture.write_bytes(b"\x89PNG")
    target = target_of(url, Call(target="/caption", arguments={"image": picture, "lang": "fr"}))
    _, fields, body = parts(target.requests[0])

    assert fields["content-type"].startswith("multipart/form-data; boundary=")
    assert b'filename="cat.png"' in body
    assert b"\x89PNG" in body


def test_headers_are_sent_to_the_cord_and_to_the_metrics(url):
    target = target_of(url, Call(target="/embed", arguments={"text": "a"}), Authorization="Bearer key")

    assert parts(target.requests[0])[1]["authorization"] == "Bearer key"
    assert parts(target.metrics)[0] == "GET /metrics HTTP/1.1"
    assert parts(target.metrics)[1]["authorization"] == "Bearer key"


def test_head_is_known_to_have_no_answer_body(url):
    target = target_of(url, Call(target="/readyz", method="HEAD"))
    assert target.requests[0].headless


def test_a_chute_that_hides_its_document_is_called_with_post():
    server = ScriptedServer([http_answer(404, b"no")])
    try:
        assert target_of(server.url, Call(target="/embed")).method == "POST"
    finally:
        server.close()


def test_a_chute_that_is_not_there_is_told_at_once():
    with unused_address() as nowhere, pytest.raises(ConnectionFailed):
        target_of(nowhere, Call(target="/embed"))


def test_a_password_in_the_url_is_refused(url):
    with pytest.raises(CallRejected, match="--header"):
        target_of(url.replace("//", "//me:secret@"), Call(target="/embed"))


def test_a_cord_that_is_not_there_is_told(url):
    with pytest.raises(CallRejected, match="Did you mean 'embed'"):
        target_of(url, Call(target="embd"))


def test_the_port_is_that_of_the_scheme_when_none_is_written():
    with Client("http://127.0.0.1") as client:
        target = prepare(client, "http://127.0.0.1", [Call(target="/a", method="POST")], {})
        secure = prepare(client, "https://127.0.0.1", [Call(target="/a", method="POST")], {})

    assert (target.endpoint.port, target.endpoint.tls) == (80, None)
    assert secure.endpoint.port == 443
    assert secure.endpoint.tls is not None
