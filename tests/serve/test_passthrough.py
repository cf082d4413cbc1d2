"""Passthrough cords: what is forwarded, what comes back."""

import base64
import json
import re

import pytest
from fastapi import Body, Depends, Form, Header, HTTPException

from chutes.errors import DefinitionError, InvalidPath
from chutes.testing import TestClient
from support.http_servers import ScriptedServer, http_answer, unused_address
from support.serving import new_chute
from support.upstream import answer, forward, upstream


@pytest.fixture
def other():
    with upstream() as server:
        yield server


@pytest.fixture(params=["short", "long"])
def fast_path(request, monkeypatch):
    monkeypatch.setenv("CHUTES_FAST_PATH", "on" if request.param == "short" else "off")


@pytest.fixture
def client(other, fast_path):
    chute = new_chute(concurrency=4)
    forward(chute, "/echo", other.port)
    forward(chute, "/v1/{kind}/{name:path}", other.port, method="GET", passthrough_path="/{name}/of/{kind}")
    for verb in ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        forward(chute, "/verb", other.port, method=verb, passthrough_path="/verbs")
    with TestClient(chute) as client:
        yield client


def told(response):
    seen = response.json()
    return seen | {"headers": seen["headers"], "body": base64.b64decode(seen["body"])}


def values(seen, name):
    return [value for key, value in seen["headers"] if key == name]


@pytest.mark.parametrize("verb", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_verb_the_query_and_the_body_arrive(client, verb):
    seen = told(client.request(verb, "/verb?a=1&b=%20x&a=2", content=b"body"))
    assert (seen["method"], seen["path"], seen["query"]) == (verb, "/verbs", "a=1&b=%20x&a=2")
    assert seen["body"] == b"body"


def test_a_head_request_keeps_the_length_of_what_it_would_get(client):
    response = client.head("/verb", headers=answer(200, Content_Length="1234", X_A="1"))
    assert (response.status_code, response.headers["content-length"], response.content) == (200, "1234", b"")
    assert response.headers["x-a"] == "1"


def test_placeholders_of_the_path_are_filled_into_the_upstreams(client):
    seen = told(client.get("/v1/models/meta llama/über"))
    assert seen["path"] == "/meta%20llama/%C3%BCber/of/models"


def test_a_chunked_upload_arrives_whole(client):
    def parts():
        for number in range(50):
            yield b"%d," % number * 1000

    seen = told(client.post("/echo", content=parts()))
    assert seen["body"] == b"".join(parts())


def test_an_upload_of_known_length_says_its_length(client):
    seen = told(client.post("/echo", content=b"x" * 300_000))
    assert values(seen, "content-length") == ["300000"]
    assert values(seen, "transfer-encoding") == []


def test_a_post_without_a_body_says_so(client):
    assert values(told(client.post("/echo")), "content-length") == ["0"]


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 404, 418, 429, 500, 503])
def test_status_headers_and_body_come_back_as_they_are(client, status):
    body = b"" if status in (204, 304) else b'{"error": {"message": "theirs"}}'
    asked = answer(status, body, Location="/elsewhere", ETag='"1"', Retry_After="7", X_Engine="1")
    response = client.post("/echo", headers=asked)
    assert (response.status_code, response.content) == (status, body)
    names = ("location", "etag", "retry-after", "x-engine")
    assert [response.headers[name] for name in names] == ["/elsewhere", '"1"', "7", "1"]


def test_an_encoded_answer_is_not_decoded(client):
    asked = answer(200, b"not really gzip", Content_Encoding="gzip") | {"Accept-Encoding": "gzip, br;q=0.5"}
    with client.stream("POST", "/echo", headers=asked) as response:
        assert b"".join(response.iter_raw()) == b"not really gzip"
    assert response.headers["content-encoding"] == "gzip"


def test_what_the_client_accepts_arrives_as_it_was_sent(client):
    seen = told(client.post("/echo", headers={"Accept-Encoding": "zstd;q=0.1, identity"}))
    assert values(seen, "accept-encoding") == ["zstd;q=0.1, identity"]


def test_every_cookie_comes_back(other, fast_path):
    script = http_answer(200, b"ok").replace(
        b"Connection", b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection"
    )
    server = ScriptedServer([script])
    chute = new_chute()
    forward(chute, "/run", int(server.url.rpartition(":")[2]))
    with TestClient(chute) as client:
        assert client.post("/run").headers.get_list("set-cookie") == ["a=1", "b=2"]
    server.close()


def test_headers_of_one_connection_stay_there(client):
    sent = {
        "Connection": "keep-alive, X-Mine",
        "X-Mine": "1",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Proxy-Authorization": "Basic x",
        "Upgrade": "h2c",
        "X-Kept": "2",
    }
    seen = told(client.post("/echo", headers=sent))
    names = {name for name, _ in seen["headers"]}
    assert not names & {"connection", "x-mine", "keep-alive", "te", "proxy-authorization", "upgrade"}
    assert values(seen, "x-kept") == ["2"]
    asked = answer(200, b"x", Connection="x-theirs", X_Theirs="1", Keep_Alive="timeout=5", X_Kept="3")
    back = client.post("/echo", headers=asked).headers
    assert "x-theirs" not in back
    assert "keep-alive" not in back
    assert back["x-kept"] == "3"


def test_the_upstream_learns_who_asked(client, other):
    sent = {
        "X-Request-ID": "r-1",
        "X-Forwarded-For": "10.0.0.9",
        "Traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
    }
    seen = told(client.post("/echo", headers=sent))
    assert values(seen, "host") == [f"127.0.0.1:{other.port}"]
    assert values(seen, "x-forwarded-host") == [client.base_url.netloc.decode()]
    assert values(seen, "x-forwarded-proto") == ["http"]
    assert values(seen, "x-request-id") == ["r-1"]
    assert values(seen, "traceparent") == [sent["Traceparent"]]
    (chain,) = values(seen, "x-forwarded-for")
    assert chain.startswith("10.0.0.9, ")


def test_the_request_id_of_the_answer_is_the_chutes(client):
    sent = answer(200, b"x", X_Request_ID="theirs") | {"X-Request-ID": "mine"}
    assert client.post("/echo", headers=sent).headers.get_list("x-request-id") == ["mine"]


@pytest.mark.parametrize(
    ("header", "arrives"),
    [
        ({"Authorization": "Bearer ours"}, False),
        ({"X-API-Key": "ours"}, False),
        ({"X-API-Key": "ours", "Authorization": "Bearer theirs"}, True),
    ],
)
def test_the_chutes_own_key_goes_no_further(other, fast_path, monkeypatch, header, arrives):
    monkeypatch.setenv("CHUTES_API_KEYS", "ours,another")
    chute = new_chute()
    forward(chute, "/echo", other.port)
    with TestClient(chute) as client:
        assert client.post("/echo").status_code == 401
        seen = told(client.post("/echo", headers=header))
    assert values(seen, "x-api-key") == []
    assert values(seen, "authorization") == (["Bearer theirs"] if arrives else [])


def test_headers_of_the_chute_are_added_and_win(other, fast_path):
    chute = new_chute(passthrough_headers={"Authorization": "Bearer engine", "X-Tenant": "1"})
    forward(chute, "/echo", other.port)

    @chute.on_startup()
    def later(self):
        self.passthrough_headers["X-Tenant"] = "2"

    with TestClient(chute) as client:
        seen = told(client.post("/echo", headers={"authorization": "Bearer client"}))
        assert values(seen, "authorization") == ["Bearer engine"]
        assert values(seen, "x-tenant") == ["2"]
        chute.passthrough_headers = {"X-Other": "3"}
        seen = told(client.post("/echo", headers={"authorization": "Bearer client"}))
        assert values(seen, "authorization") == ["Bearer client"]
        assert values(seen, "x-other") == ["3"]
    assert dict(chute.config.passthrough_headers) == {"Authorization": "Bearer engine", "X-Tenant": "1"}


def test_a_refused_connection_is_503_and_says_no_address(fast_path, caplog):
    with unused_address() as address:
        chute = new_chute()
        forward(chute, "/run", int(address.rpartition(":")[2]))
        with TestClient(chute) as client:
            response = client.post("/run", json={})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "'server'" in response.json()["detail"]
    assert not re.search(r"\d{3,}", response.text)
    assert address in caplog.text


@pytest.mark.parametrize("script", [None, ScriptedServer.RESET, b"no http at all\r\n\r\n"])
def test_an_upstream_that_gives_no_answer_is_502(fast_path, caplog, script):
    server = ScriptedServer([script])
    chute = new_chute()
    forward(chute, "/run", int(server.url.rpartition(":")[2]))
    with TestClient(chute) as client:
        response = client.post("/run", json={})
    assert (response.status_code, len(server.requests)) == (502, 1)
    assert "127.0.0.1" not in response.text
    server.close()


def test_a_call_that_may_be_made_twice_survives_a_connection_that_ended(fast_path):
    server = ScriptedServer([None, http_answer(200, b"second")])
    chute = new_chute()
    forward(chute, "/run", int(server.url.rpartition(":")[2]), method="GET")
    with TestClient(chute) as client:
        assert client.get("/run").text == "second"
    server.close()


def test_a_connection_that_was_closed_while_it_was_idle_is_not_used_again(fast_path, other):
    # The server closes the first connection after its answer, and says nothing of it.
    script = http_answer(200, b"ok").replace(b"Connection: close\r\n", b"")
    server = ScriptedServer([script, script])
    chute = new_chute()
    forward(chute, "/run", int(server.url.rpartition(":")[2]), method="PUT")
    with TestClient(chute) as client:
        assert client.put("/run", content=b"1").text == "ok"
        assert client.put("/run", content=b"2").text == "ok"
    assert len(server.requests) == 2
    server.close()


def test_a_body_over_the_limit_is_413_on_its_way(other, fast_path):
    chute = new_chute(max_body_size=100_000)
    forward(chute, "/echo", other.port)

    def parts():
        for _ in range(20):
            yield b"x" * 10_000

    with TestClient(chute) as client:
        assert client.post("/echo", content=parts()).status_code == 413
        assert client.post("/echo", content=b"x" * 100_001).status_code == 413
        assert client.post("/echo", content=b"x" * 100_000).status_code == 200


def test_a_call_to_the_chute_itself_is_refused_in_its_answer(fast_path):
    chute = new_chute()
    forward(chute, "/run", 8000)
    with TestClient(chute, base_url="http://127.0.0.1:8000") as client:
        response = client.post("/run")
    assert response.status_code == 508
    assert "itself" in response.json()["detail"]


def test_dependencies_run_first(other, fast_path):
    def guard(x_user: str = Header("nobody")):
        if x_user != "me":
            raise HTTPException(403, "not you")

    chute = new_chute()

    @chute.cord("/signature", passthrough=True, passthrough_port=other.port)
    async def in_signature(self, body: dict, text: str = Form(), who=Depends(guard)): ...

    forward(chute, "/options", other.port, dependencies=[Depends(guard)])
    with TestClient(chute) as client:
        for path in ("/signature", "/options"):
            assert client.post(path, content=b"x").status_code == 403
            assert told(client.post(path, content=b"x", headers={"X-User": "me"}))["body"] == b"x"


def test_a_dependency_that_reads_the_body_leaves_it_to_the_upstream(other):
    def guard(body: dict = Body()):
        if body != {"a": 1}:
            raise HTTPException(403)

    chute = new_chute()
    forward(chute, "/run", other.port, dependencies=[Depends(guard)])
    with TestClient(chute) as client:
        assert json.loads(told(client.post("/run", json={"a": 1}))["body"]) == {"a": 1}
        assert client.post("/run", json={"a": 2}).status_code == 403


def test_what_a_dependency_sets_on_the_answer_is_added(other):
    from fastapi import Response

    def mark(response: Response):
        response.headers["X-Marked"] = "yes"

    chute = new_chute()
    forward(chute, "/run", other.port, dependencies=[Depends(mark)])
    with TestClient(chute) as client:
        assert client.post("/run").headers["x-marked"] == "yes"


def test_handlers_of_exceptions_see_what_goes_wrong(fast_path):
    with unused_address() as address:
        chute = new_chute()
        forward(chute, "/run", int(address.rpartition(":")[2]))

        @chute.exception_handler(503)
        async def away(request, error):
            from fastapi.responses import PlainTextResponse

            return PlainTextResponse("gone fishing", 503, headers=error.headers)

        with TestClient(chute) as client:
            response = client.post("/run")
    assert (response.text, response.headers["retry-after"]) == ("gone fishing", "1")


def test_middleware_acts(other):
    chute = new_chute()
    forward(chute, "/run", other.port)

    @chute.middleware("http")
    async def mark(request, call_next):
        response = await call_next(request)
        response.headers["X-Marked"] = "yes"
        return response

    with TestClient(chute) as client:
        response = client.post("/run", content=b"x" * 100_000)
    assert response.headers["x-marked"] == "yes"
    assert len(told(response)["body"]) == 100_000


def test_two_cords_on_one_path_go_to_theirs(other, fast_path):
    chute = new_chute()
    forward(chute, "/chat", other.port, passthrough_path="/whole")
    forward(chute, "/chat", other.port, passthrough_path="/events", stream=True)
    with TestClient(chute) as client:
        assert told(client.post("/chat", json={"a": 1}))["path"] == "/whole"
        seen = told(client.post("/chat", json={"stream": True}))
    assert (seen["path"], json.loads(seen["body"])) == ("/events", {"stream": True})


def test_the_deprecated_spelling_is_the_chutes_verb_and_method_the_upstreams(other):
    chute = new_chute()
    forward(chute, "/models", other.port, public_api_method="GET", method="POST")
    with TestClient(chute) as client:
        seen = told(client.get("/models?a=1"))
    assert (seen["method"], seen["query"]) == ("POST", "a=1")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"passthrough_port": 0}, DefinitionError, "Invalid passthrough_port 0"),
        ({"passthrough_port": "8001"}, DefinitionError, "Invalid passthrough_port '8001'"),
        ({"passthrough_path": "v1"}, InvalidPath, "Invalid passthrough_path 'v1'"),
        ({"passthrough_path": "/v1/{model}"}, InvalidPath, "no placeholder {model}"),
        ({"passthrough_path": "/a b"}, InvalidPath, "Invalid passthrough_path '/a b'"),
    ],
)
def test_a_path_or_port_that_cannot_be_is_refused(options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        forward(
            new_chute(),
            "/run",
            **{"port": 8001, **options}
            if "passthrough_port" not in options
            else {"port": options["passthrough_port"]},
        )


@pytest.mark.parametrize(
    "headers", [{"Host": "x"}, {"Content-Length": "1"}, {"a b": "1"}, {"X-A": "a\nb"}, {"X-A": 1}]
)
def test_headers_that_cannot_be_added_are_refused(headers):
    with pytest.raises(DefinitionError, match="passthrough_headers"):
        new_chute(passthrough_headers=headers)


def test_openapi_shows_the_input(other):
    from pydantic import BaseModel

    class Message(BaseModel):
        role: str

    class Chat(BaseModel):
        messages: list[Message]

    chute = new_chute()
    forward(
        chute, "/chat", other.port, input_schema=Chat, minimal_input_schema={"messages": [{"role": "user"}]}
    )
    operation = chute.app.openapi()["paths"]["/chat"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"]["properties"]["messages"]["items"]["properties"]["role"]["type"] == "string"
    assert content["examples"]["minimal"]["value"] == {"messages": [{"role": "user"}]}
    with TestClient(chute) as client:
        # It documents; the upstream says what it takes.
        assert told(client.post("/chat", json=7))["body"] == b"7"
