"""API keys: what they close, how they are sent, how they are written down."""

import pytest
from fastapi.middleware.cors import CORSMiddleware

from chutes.errors import SettingsError, WebSocketRefused
from chutes.serve.auth import KeyRing, hash_key
from chutes.testing import TestClient
from support.serving import new_chute

PROBES = ["/livez", "/readyz", "/health"]


@pytest.fixture
def keyed(monkeypatch):
    """Makes a chute with a cord and a websocket, for the given value of CHUTES_API_KEYS."""

    def make(setting="one,two"):
        monkeypatch.setenv("CHUTES_API_KEYS", setting)
        chute = new_chute()

        @chute.cord("/run")
        async def run(self):
            return "ok"

        @chute.websocket("/talk")
        async def talk(self, websocket):
            await websocket.accept()

        return chute

    return make


def test_without_keys_everything_is_open(keyed):
    with TestClient(keyed("")) as client:
        assert client.post("/run").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "one"},
        {"X-API-Key": "two"},
        {"X-API-Key": " one "},
        {"Authorization": "Bearer one"},
        {"Authorization": "bearer two"},
        {"Authorization": "Basic abc", "X-API-Key": "one"},
    ],
)
def test_a_right_key_opens(keyed, headers):
    with TestClient(keyed()) as client:
        assert client.post("/run", headers=headers).json() == "ok"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "three"},
        {"X-API-Key": "one,two"},
        {"X-API-Key": "ONE"},
        {"Authorization": "one"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic one"},
        {"Cookie": "X-API-Key=one"},
        {"X-API-Key": b"\xff\xfe"},
    ],
)
def test_a_wrong_or_missing_key_is_401_with_what_to_send(keyed, headers):
    with TestClient(keyed()) as client:
        response = client.post("/run", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "X-API-Key" in response.json()["detail"]
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/metrics", "/docs", "/openapi.json", "/docs-assets/swagger-ui.css", "/nowhere", "/run"]
)
def test_everything_but_the_probes_is_closed(keyed, path):
    with TestClient(keyed()) as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"X-API-Key": "one"}).status_code != 401


@pytest.mark.parametrize("path", PROBES)
def test_the_probes_are_open(keyed, path):
    with TestClient(keyed()) as client:
        assert client.get(path).status_code == 200
        assert client.post(path).status_code == 401


def test_without_a_key_health_says_its_status_alone(keyed):
    chute = keyed()
    chute.health_check = lambda: {"status": "unhealthy", "database": "secret host"}
    with TestClient(chute) as client:
        assert client.get("/health").json() == {"status": "unhealthy"}
        assert client.get("/health", headers={"X-API-Key": "one"}).json()["database"] == "secret host"


def test_a_websocket_without_a_key_is_refused(keyed):
    with TestClient(keyed()) as client:
        for headers in ({}, {"X-API-Key": "wrong"}):
            with pytest.raises(WebSocketRefused) as caught:
                client.websocket_connect("/talk", headers=headers).__enter__()
            assert caught.value.status in (401, 403)
        with client.websocket_connect("/talk", headers={"Authorization": "Bearer two"}):
            pass


def test_a_cors_preflight_needs_no_key_and_reaches_nothing_else(keyed):
    preflight = {"Origin": "http://a", "Access-Control-Request-Method": "POST"}
    chute = keyed()
    chute.app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])

    @chute.cord("/odd", method="OPTIONS")
    async def odd(self):
        return "reached"

    with TestClient(chute) as client:
        assert client.options("/run", headers=preflight).status_code == 200
        assert client.options("/odd", headers=preflight).text != '"reached"'
        assert client.options("/odd").status_code == 401
        assert client.post("/run", headers=preflight).status_code == 401
    with TestClient(keyed()) as client:
        assert client.options("/run", headers=preflight).status_code == 401


def test_keys_in_a_file_are_hashes_with_labels(keyed, tmp_path):
    path = tmp_path / "keys"
    path.write_text(
        f"# keys\n\n{hash_key('one')}  alice\n  {hash_key('two').upper().replace('SHA256', 'sha256')}\n"
    )
    with TestClient(keyed(str(path))) as client:
        statuses = [
            client.post("/run", headers={"X-API-Key": key}).status_code for key in ("one", "two", "three")
        ]
        assert statuses == [200, 200, 401]
        assert client.post("/run", headers={"X-API-Key": hash_key("one")}).status_code == 401


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("plain-secret-key\n", "line 1"),
        (f"{hash_key('one')}\nsha256:abc\n", "line 2"),
        ("md5:0123\n", "line 1"),
        ("# nothing\n\n", "no key in it"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_showing_a_key(tmp_path, content, says):
    path = tmp_path / "keys"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as caught:
        KeyRing.parse(str(path))
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"names the file .*/none, which cannot be read"):
        KeyRing.parse(str(tmp_path / "none"))


def test_a_bad_file_ends_the_start(keyed, tmp_path):
    with pytest.raises(SettingsError), TestClient(keyed(str(tmp_path / "none"))):
        pass


@pytest.mark.parametrize(
    ("setting", "keys"),
    [
        ("a", ["a"]),
        (" a , b ", ["a", "b"]),
        ("a,", ["a"]),
        ("a/b,c", ["a/b", "c"]),
        ("key with blanks", ["key with blanks"]),
    ],
)
def test_a_list_of_keys(setting, keys):
    ring = KeyRing.parse(setting)
    assert len(ring.digests) == len(keys)
    assert all(ring.opens(key.encode()) for key in keys)
    assert ring


def test_a_list_without_a_key_in_it_is_refused_rather_than_leaving_the_chute_open():
    assert not KeyRing.parse("")
    for setting in (",", " , ,"):
        with pytest.raises(SettingsError, match="CHUTES_API_KEYS"):
            KeyRing.parse(setting)


def test_the_ring_shows_no_key():
    assert "secret" not in repr(KeyRing.parse("secret-key"))


def test_the_name_of_a_file_beside_the_program_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "keys.txt").write_text(hash_key("secret") + "\n")
    monkeypatch.chdir(tmp_path)
    ring = KeyRing.parse("keys.txt")
    assert (ring.opens(b"secret"), ring.opens(b"keys.txt")) == (True, False)
