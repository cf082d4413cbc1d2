"""Files of runs, through both clients, over real sockets."""

import hashlib
import json
from pathlib import Path

import pytest

from chutes import Chute
from chutes.client import AsyncClient, Client, FakeClock
from chutes.client.saving import target_of
from chutes.errors import CallFailed, CallRejected
from support.http_servers import asgi_server, http_answer

FILM = bytes(range(256)) * 8000
RUN = {"id": "r1", "job": "render", "status": "succeeded", "cancel_requested": False, "result": None}


def films():
    chute = Chute(username="me", name="films", image="python:3.12")

    @chute.job()
    async def render(self, output_dir: str):
        (Path(output_dir) / "deep").mkdir()
        (Path(output_dir) / "deep" / "film #1 {x}?.mp4").write_bytes(FILM)
        (Path(output_dir) / "empty").touch()

    return chute


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHUTES_HOME", str(tmp_path_factory.mktemp("home")))
        with asgi_server(films(), lifespan="on") as address:
            yield address


@pytest.fixture
def run(url):
    with Client(url) as client:
        run = client.jobs.submit("render")
        run.result(timeout=60)
        yield run


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_are_listed_and_downloaded_below_a_folder(run, tmp_path):
    files = run.files()
    assert [(file["path"], file["size"]) for file in files] == [
        ("deep/film #1 {x}?.mp4", len(FILM)),
        ("empty", 0),
    ]

    places = [run.download(file["path"], to=tmp_path) for file in files]

    assert places == [tmp_path / "deep" / "film #1 {x}?.mp4", tmp_path / "empty"]
    assert places[0].read_bytes() == FILM
    assert places[1].read_bytes() == b""
    assert len(names(tmp_path)) == 2


def test_a_download_can_have_another_name_and_replaces_what_is_there(run, tmp_path):
    place = tmp_path / "new" / "film.mp4"
    for _ in range(2):
        assert run.download("deep/film #1 {x}?.mp4", to=str(place)) == place
    assert place.read_bytes() == FILM
    assert names(tmp_path) == ["new/film.mp4"]


def test_a_file_that_is_not_there_is_told_before_anything_is_written(run, tmp_path):
    with pytest.raises(CallRejected, match=r"has left no file 'emtpy'\. Did you mean 'empty'\?") as rejected:
        run.download("emtpy", to=tmp_path)

    assert rejected.value.status == 404
    assert names(tmp_path) == []


async def test_the_asynchronous_client_has_the_same(url, tmp_path):
    async with AsyncClient(url) as chute:
        run = await chute.jobs.submit("render")
        await run.result(timeout=60)

        assert [file["path"] for file in await run.files()] == ["deep/film #1 {x}?.mp4", "empty"]
        place = await run.download("deep/film #1 {x}?.mp4", to=tmp_path)
        assert place.read_bytes() == FILM
        with pytest.raises(CallRejected, match="has left no file"):
            await run.download("other", to=tmp_path)
    assert len(names(tmp_path)) == 1


def listed(content=b"0123456789", path="film"):
    file = {
        "path": path,
        "size": len(content),
        "content_type": "x/y",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return http_answer(200, json.dumps({"files": [file]}).encode(), Content_Type="application/json")


def found():
    return http_answer(200, json.dumps(RUN).encode(), Content_Type="application/json")


def cut_off(sent, status=200, size=10):
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode() + sent


def test_a_download_goes_on_where_it_broke_off(scripted, tmp_path):
    server = scripted(found(), listed(), cut_off(b"0123"), cut_off(b"45", 206, 6), http_answer(206, b"6789"))
    clock = FakeClock()

    with Client(server.url, clock=clock) as chute:
        place = chute.jobs.run("r1", "render").download("film", to=tmp_path / "film")

    assert place.read_bytes() == b"0123456789"
    ranges = [
        line for request in server.requests for line in request.lower().splitlines() if b"range: b" in line
    ]
    assert ranges == [b"range: bytes=4-", b"range: bytes=6-"]
    assert all(b"if-range" in request.lower() for request in server.requests[3:])


async def test_an_answer_with_the_whole_file_begins_anew(scripted, tmp_path):
    server = scripted(found(), listed(), cut_off(b"0123"), http_answer(200, b"0123456789"))

    async with AsyncClient(server.url, clock=FakeClock()) as chute:
        run = await chute.jobs.run("r1", "render")
        place = await run.download("film", to=tmp_path / "film")

    assert place.read_bytes() == b"0123456789"


def test_a_download_that_never_goes_on_ends(scripted, tmp_path):
    server = scripted(found(), listed(), cut_off(b"0123"), cut_off(b"", 206, 6))

    with Client(server.url, clock=FakeClock()) as chute:
        run = chute.jobs.run("r1", "render")
        with pytest.raises(CallFailed, match="broke off 8 times after 4 of 10 bytes"):
            run.download("film", to=tmp_path)

    assert names(tmp_path) == []


def test_another_file_than_the_one_that_was_listed_is_refused(scripted, tmp_path):
    server = scripted(found(), listed(), http_answer(200, b"abcdefghij"))

    with Client(server.url) as chute:
        run = chute.jobs.run("r1", "render")
        with pytest.raises(CallFailed, match="SHA-256"):
            run.download("film", to=tmp_path)

    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "path", ["../film", "/etc/passwd", "a/../../film", "link/film", "a//b", "./film", ""]
)
def test_a_chute_cannot_write_outside_of_the_folder(scripted, tmp_path, path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    server = scripted(found(), listed(path=path), http_answer(200, b"0123456789"))

    with Client(server.url) as chute:
        run = chute.jobs.run("r1", "render")
        with pytest.raises(CallRejected, match="leads out of the folder"):
            run.download(path, to=folder)

    assert names(tmp_path) == []


def test_a_file_that_was_named_is_written_whatever_the_path_at_the_run(tmp_path):
    assert target_of("../film", tmp_path / "film") == tmp_path / "film"
    assert target_of("a/b", tmp_path) == tmp_path / "a" / "b"
