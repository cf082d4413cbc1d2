"""A chute with API keys: closed to all who have none, but for the probes."""

import hashlib
import socket
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

LISTENS = "0A"
KEYS = ("first-key", "second key with spaces", "dritter-schlüssel")


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/told.py", CHUTES_API_KEYS=",".join(KEYS)) as chute:
        yield chute


@pytest.fixture
def client(chute):
    with chute.client() as client:
        yield client


def bearer(key):
    return {"Authorization": b"Bearer " + key.encode()}


def header(key):
    return {"X-API-Key": key.encode()}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("way", [bearer, header])
def test_each_key_opens_it_in_both_ways(client, key, way):
    assert client.post("/ask", json={"name": "x"}, headers=way(key)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        header("wrong"),
        header(""),
        header("first-key,second key with spaces"),
        header("FIRST-KEY"),
        header("first-ke"),
        header("first-key2"),
        bearer("wrong"),
        {"Authorization": "Bearer"},
        {"Authorization": "Basic Zmlyc3Qta2V5Og=="},
        {"Authorization": "first-key"},
        {"X-API-Key": b"\xff\xfe"},
        {"Cookie": "X-API-Key=first-key"},
    ],
    ids=repr,
)
def test_nothing_else_opens_it(client, headers):
    answer = client.post("/ask?api_key=first-key", json={"name": "x"}, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-request-id"]
    assert "API key" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/docs"),
        ("GET", "/redoc"),
        ("GET", "/openapi.json"),
        ("GET", "/docs-assets/swagger-ui.css"),
        ("GET", "/docs/oauth2-redirect"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/ask"),
        ("HEAD", "/own"),
        ("OPTIONS", "/ask"),
        ("POST", "/livez"),
        ("GET", "/livez/"),
        ("GET", "//livez"),
        ("GET", "/livez/../docs"),
        ("GET", "/health%2f..%2fdocs"),
        ("TRACE", "/ask"),
    ],
)
def test_every_path_but_the_probes_is_closed(client, verb, path):
    request = client.build_request(verb, chute_url(client, path))
    assert client.send(request).status_code == 401
    assert client.request(verb, path, headers=header("first-key")).status_code != 401


def chute_url(client, path):
    return f"{str(client.base_url).rstrip('/')}{path}"


def test_a_preflight_without_cors_middleware_is_closed_too(client):
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/ask", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_probes_are_open_and_tell_nothing(client, path):
    answer = client.get(path)

    assert answer.status_code == 200
    assert set(answer.json()) == {"status"}


def test_health_tells_more_to_those_who_have_a_key(client):
    assert "timestamp" in client.get("/health", headers=header("first-key")).json()


def test_a_stranger_is_refused_before_the_body_comes(chute):
    with chute.connect() as connection:
        connection.sendall(b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_stranger_learns_nothing_of_the_limits(chute):
    with chute.connect() as connection:
        connection.sendall(b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{")
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_websocket_needs_a_key_too(chute):
    url = chute.url.replace("http", "ws") + "/talk"
    for headers in ({}, {"X-API-Key": "wrong"}):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=headers)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["www-authenticate"] == "Bearer"
    for headers in ({"X-API-Key": "first-key"}, {"Authorization": "Bearer first-key"}):
        with connect(url, additional_headers=headers) as talk:
            talk.send("hello")
            assert talk.recv()


def test_no_key_is_ever_logged(chute, client):
    client.post("/fails", json={"name": "x"}, headers=header("first-key"))
    client.post("/ask", json={"name": "x"}, headers=header("wrong-key"))
    chute.wait_until(lambda: "RuntimeError" in chute.text)

    assert "first-key" not in chute.text
    assert "wrong-key" not in chute.text


def test_keys_come_from_a_file_of_hashes(serve, tmp_path):
    digest = hashlib.sha256(b"from-the-file").hexdigest()
    (tmp_path / "keys").write_text(f"# ours\n\nsha256:{digest} ada\n")
    with serve("apps/told.py", CHUTES_API_KEYS=str(tmp_path / "keys")) as chute, chute.client() as client:
        answers = [
            client.post("/ask", json={"name": "x"}, headers=headers).status_code
            for headers in ({}, header("from-the-file"), header(digest), header(f"sha256:{digest}"))
        ]

    assert answers == [401, 200, 401, 401]


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "cannot be read"), ("", "has no key in it"), ("a-key-in-the-clear\n", "is no hash")],
    ids=["missing", "empty", "in the clear"],
)
def test_a_keys_file_that_cannot_be_used_keeps_the_chute_from_starting(program, content, text):
    """An unusable file must not leave the door open."""
    program.write(
        "from chutes import Chute\nchute = Chute(username='me', name='keys', image='python:3.11')\n"
    )
    path = program.folder / "keys"
    if content is not None:
        path.write_text(content)

    with program.start("app.py", "--port", 0, CHUTES_API_KEYS=str(path)) as chute:
        code = chute.wait()

    assert code == 2
    assert text in chute.text
    assert "a-key-in-the-clear" not in chute.text
    assert "Traceback" not in chute.text


def test_a_public_address_without_keys_is_warned_of(program):
    program.write(
        "from chutes import Chute\nchute = Chute(username='me', name='keys', image='python:3.11')\n"
    )
    warning = "without API keys"

    for words, environ, warned in [
        (["--host", "0.0.0.0"], {}, True),
        (["--host", "0.0.0.0"], {"CHUTES_API_KEYS": "a-key"}, False),
        ([], {}, False),
    ]:
        with program.start("app.py", "--port", 0, *words, **environ) as chute:
            assert chute.url
            assert (warning in chute.text) is warned
        (program.folder / "output.log").unlink()


def test_without_a_host_only_this_machine_is_answered(program):
    program.write(
        "from chutes import Chute\nchute = Chute(username='me', name='keys', image='python:3.11')\n"
    )
    with program.start("app.py", "--port", 0) as chute:
        ending = f":{chute.port:04X}"
        sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        bound = {address.removesuffix(ending) for _, address, _, state, *_ in sockets if state == LISTENS}
        bound = {address for address in bound if ":" not in address}

    assert bound == {socket.inet_aton("127.0.0.1")[::-1].hex().upper()}
