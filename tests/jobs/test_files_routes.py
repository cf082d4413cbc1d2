"""The files of runs over HTTP."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from chutes.jobs.files_store import CHUNK
from chutes.testing import AsyncTestClient, TestClient, wait_until

FILM = bytes(range(256)) * (CHUNK // 256) + b"the end"
NAME = 'deep/a "b" ä;%2F.txt'


@pytest.fixture
def chute(chute):
    @chute.job(retry_count=0)
    async def render(self, output_dir: str, fail: bool = False):
        folder = Path(output_dir)
        (folder / "deep").mkdir()
        (folder / "film.mp4").write_bytes(FILM)
        (folder / "page.html").write_text("<script>alert(1)</script>")
        (folder / NAME).write_text("odd")
        (folder / "empty").touch()
        if fail:
            raise ValueError("broken")

    @chute.job()
    async def wait(self):
        await asyncio.sleep(600)

    @chute.cord("/films")
    async def films(self):
        run = await self.jobs.submit(render)
        await run.result(timeout=60)
        pieces = [len(piece) async for piece in (await run.file("film.mp4")).chunks(3, CHUNK + 2)]
        return {
            "files": [file.path for file in await run.files()],
            "odd": (await (await run.file(NAME)).read()).decode(),
            "pieces": pieces,
        }

    return chute


@pytest.fixture
def client(chute):
    with TestClient(chute) as client:
        yield client


@pytest.fixture
def place(client):
    return ended(client, "render")


def ended(client, job, **arguments):
    """Where a run is that has ended."""
    place = client.post(f"/jobs/{job}", json=arguments).raise_for_status().headers["location"]
    wait_until(lambda: client.get(place).json()["finished_at"], 60)
    return place


def get(client, place, **headers):
    return client.get(
        f"{place}/files/film.mp4", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_the_files_of_a_run_are_listed(client, place):
    files = client.get(f"{place}/files").raise_for_status().json()["files"]

    assert [file["path"] for file in files] == sorted(["film.mp4", "page.html", NAME, "empty"])
    assert files == client.get(place).json()["files"]
    film = next(file for file in files if file["path"] == "film.mp4")
    assert film == {
        "path": "film.mp4", "size": len(FILM), "content_type": "video/mp4", "sha256": hashlib.sha256(FILM).hexdigest(),
    }  # fmt: skip
    assert client.head(f"{place}/files").status_code == 200


def test_a_file_is_downloaded_whole(client, place):
    answer = get(client, place)

    assert answer.content == FILM
    assert answer.headers["content-length"] == str(len(FILM))
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"].startswith('attachment; filename="film.mp4"')
    assert answer.headers["etag"] == f'"{hashlib.sha256(FILM).hexdigest()}"'


def test_a_page_is_never_shown_as_one_of_the_chutes_own(client, place):
    answer = client.get(f"{place}/files/page.html")

    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_name_may_be_odd(client, place):
    answer = client.get(f"{place}/files/deep/a%20%22b%22%20%C3%A4%3B%252F.txt").raise_for_status()

    assert answer.text == "odd"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"a _b_ _;%2F.txt\"; filename*=UTF-8''a%20%22b%22%20%C3%A4%3B%252F.txt"
    )


def test_an_empty_file_is_downloaded(client, place):
    answer = client.get(f"{place}/files/empty")

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert client.get(f"{place}/files/empty", headers={"Range": "bytes=0-"}).status_code == 416


@pytest.mark.parametrize(
    ("wanted", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, len(FILM)),
        (f"bytes={CHUNK - 2}-{CHUNK + 1}", CHUNK - 2, CHUNK + 2),
        ("bytes=-7", len(FILM) - 7, len(FILM)),
        (f"bytes=-{len(FILM) + 5}", 0, len(FILM)),
        (f"bytes={CHUNK}-99999999999", CHUNK, len(FILM)),
    ],
)
def test_a_part_is_downloaded(client, place, wanted, first, stop):
    answer = get(client, place, Range=wanted)

    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(FILM)}"
    assert answer.headers["content-length"] == str(stop - first)
    assert answer.content == FILM[first:stop]


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=a-b"])
def test_a_range_that_makes_no_sense_is_answered_with_all(client, place, wanted):
    answer = get(client, place, Range=wanted)

    assert (answer.status_code, len(answer.content)) == (200, len(FILM))


@pytest.mark.parametrize("wanted", [f"bytes={len(FILM)}-", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused(client, place, wanted):
    answer = get(client, place, Range=wanted)

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(FILM)}"


def test_a_part_is_only_of_the_file_that_the_client_knows(client, place):
    etag = get(client, place).headers["etag"]

    assert get(client, place, Range="bytes=0-1", If_Range=etag).status_code == 206
    assert get(client, place, Range="bytes=0-1", If_Range='"other"').status_code == 200


def test_a_file_that_the_client_has_is_not_sent_again(client, place):
    etag = get(client, place).headers["etag"]

    for known in (etag, f'"other", W/{etag}', "*"):
        answer = get(client, place, If_None_Match=known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert get(client, place, If_None_Match='"other"').status_code == 200


def test_head_says_what_a_download_would(client, place):
    answer = client.head(f"{place}/files/film.mp4")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(FILM))
    assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    "path",
    [
        "film.mp3",
        "../film.mp4",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "deep",
        "",
        "%00",
        "a" * 2000,
    ],
)
def test_what_is_no_file_of_the_run_is_unknown(client, place, path):
    assert client.get(f"{place}/files/{path}").status_code in {404, 405}


def test_the_error_says_which_files_there_are(client, place):
    assert "Did you mean 'film.mp4'?" in client.get(f"{place}/files/film.mp3").json()["detail"]
    waiting = client.post("/jobs/wait").headers["location"]
    assert "a run has files once it has ended" in client.get(f"{waiting}/files/a").json()["detail"]
    assert client.get(f"{waiting}/files").json() == {"files": []}
    client.delete(waiting)


def test_a_failed_run_has_its_files_until_it_is_tried_again(client):
    place = ended(client, "render", fail=True)
    assert len(client.get(f"{place}/files").json()["files"]) == 4

    assert client.post(f"{place}/retry").json()["files"] == []
    assert get(client, place).status_code == 404


def test_a_chutes_own_code_reads_the_files_of_a_run(client):
    answer = client.post("/films").json()

    assert answer["files"] == sorted(["film.mp4", "page.html", NAME, "empty"])
    assert answer["odd"] == "odd"
    assert len(answer["pieces"]) == 2
    assert sum(answer["pieces"]) == CHUNK - 1


async def test_a_file_is_saved_below_a_folder_or_as_a_file(chute, tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    async with AsyncTestClient(chute):
        run = await chute.jobs.submit("render")
        await run.result(60)
        below = await (await run.file(NAME)).save(folder)
        named = await (await run.file("film.mp4")).save(str(folder / "f"))

    assert below == folder / NAME
    assert below.read_text() == "odd"
    assert (named, named.read_bytes()) == (folder / "f", FILM)
    assert sorted(one.name for one in folder.iterdir()) == ["deep", "f"]


def test_the_document_describes_files(client):
    document = client.get("/openapi.json").json()
    validate(document)

    download = document["paths"]["/jobs/{name}/{id}/files/{path}"]["get"]
    assert {"200", "206", "304", "404", "416"} <= download["responses"].keys()
    assert [one["name"] for one in download["parameters"]] == ["name", "id", "path"]
    assert "head" not in document["paths"]["/jobs/{name}/{id}/files/{path}"]


def test_keys_are_needed_for_files(chute, monkeypatch):
    monkeypatch.setenv("CHUTES_API_KEYS", "sk-test-key-that-is-long-enough")
    with TestClient(chute) as client:
        answers = [client.get(f"/jobs/render/x/files{path}") for path in ("", "/film.mp4")]
        answers.append(client.head("/jobs/render/x/files/film.mp4"))

    assert [answer.status_code for answer in answers] == [401, 401, 401]
