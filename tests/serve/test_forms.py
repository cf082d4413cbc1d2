"""Arguments from forms: files, fields, and JSON text in a field."""

import dataclasses
import enum
from typing import Annotated

import pytest
from fastapi import File, Form, UploadFile
from pydantic import BaseModel, Field

from chutes.testing import TestClient
from support.serving import new_chute, serving

PNG = ("a.png", b"\x89PNG", "image/png")


def problems(response):
    assert response.status_code == 422, response.text
    return [(tuple(one["loc"]), one["type"]) for one in response.json()["detail"]]


class Colour(enum.Enum):
    RED = "red"


class Options(BaseModel):
    size: int = 1
    tags: list[str] = []


@dataclasses.dataclass
class Point:
    x: int


async def caption(
    self,
    image: UploadFile,
    lang: str,
    count: int = 1,
    *,
    flag: bool = False,
    colour: Colour = Colour.RED,
    tags: list[str] = [],
    maybe: int | None = None,
):
    return [
        image.filename,
        image.content_type,
        len(await image.read()),
        lang,
        count,
        flag,
        colour,
        tags,
        maybe,
    ]


def test_a_file_makes_the_other_parameters_form_fields():
    with serving(caption) as client:
        least = client.post("/run", files={"image": PNG}, data={"lang": "de"})
        data = {"lang": "de", "count": "3", "flag": "true", "colour": "red", "tags": ["a", "b"], "maybe": "4"}
        full = client.post("/run", files={"image": PNG}, data={**data, "unknown": "x"})
    assert least.json() == ["a.png", "image/png", 4, "de", 1, False, "red", [], None]
    assert full.json() == ["a.png", "image/png", 4, "de", 3, True, "red", ["a", "b"], 4]


def test_all_that_is_wrong_in_a_form_is_said_at_once():
    with serving(caption) as client:
        response = client.post("/run", files={"other": PNG}, data={"count": "x", "image": "text"})
    assert sorted(problems(response)) == [
        (("body", "count"), "int_parsing"),
        (("body", "image"), "value_error"),
        (("body", "lang"), "missing"),
    ]


@pytest.mark.parametrize("body", [{"json": {"lang": "de"}}, {"content": b"--x"}, {}])
def test_what_is_no_form_gets_an_error_of_the_client(body):
    with serving(caption) as client:
        assert client.post("/run", **body).status_code in (400, 422)


def test_a_broken_multipart_body_gets_an_error_of_the_client():
    headers = {"content-type": "multipart/form-data; boundary=x"}
    with serving(caption) as client:
        assert client.post("/run", content=b"--x\r\nbroken", headers=headers).status_code in (400, 422)


def test_several_files():
    async def run(
        self,
        images: list[UploadFile],
        more: Annotated[list[UploadFile], File()] = (),
        title: str = "t",
    ):
        return [[one.filename for one in images], len(more), title]

    with serving(run) as client:
        files = [("images", ("a", b"1")), ("images", ("b", b"2")), ("more", ("c", b"3"))]
        assert client.post("/run", files=files, data={"title": "x"}).json() == [["a", "b"], 1, "x"]
        assert client.post("/run", files=files[:1]).json() == [["a"], 0, "t"]
        assert problems(client.post("/run", data={"title": "x"})) == [(("body", "images"), "missing")]


@pytest.mark.parametrize(
    "hint",
    [
        UploadFile | None,
        list[UploadFile] | None,
        Annotated[UploadFile | None, File()],
        Annotated[bytes | None, File()],
    ],
)
def test_files_may_be_left_out(hint):
    async def run(self, image=None, lang: str = "de"):
        return [bool(image), lang]

    run.__annotations__["image"] = hint
    with serving(run) as client:
        assert client.post("/run", data={"lang": "en"}).json() == [False, "en"]
        assert client.post("/run", files={"image": PNG}).json() == [True, "de"]
        assert client.post("/run").json() == [False, "de"]


def test_a_file_as_bytes():
    async def run(self, image: bytes = File(), lang: str = "de"):
        return [len(image), lang]

    with serving(run) as client:
        assert client.post("/run", files={"image": PNG}).json() == [4, "de"]


def test_a_sync_cord_reads_a_file_in_its_thread():
    def run(self, image: UploadFile):
        return image.file.read().decode("latin-1")

    with serving(run) as client:
        assert client.post("/run", files={"image": ("a", b"abc")}).json() == "abc"


@pytest.mark.parametrize("encoding", ["multipart", "urlencoded"])
def test_a_form_marker_makes_the_others_fields_too(encoding):
    async def run(self, name: Annotated[str, Form(min_length=2)], count: int = Form(1), lang: str = "de"):
        return [name, count, lang]

    def send(client, **data):
        files = {"unused": b""} if encoding == "multipart" else None
        return client.post("/run", data=data, files=files)

    with serving(run) as client:
        assert send(client, name="bob", count="2", lang="en").json() == ["bob", 2, "en"]
        assert problems(send(client, name="b")) == [(("body", "name"), "string_too_short")]


def test_models_are_json_text_in_a_field():
    async def run(
        self,
        file: UploadFile,
        *,
        options: Options,
        point: Point | None = None,
        extra: dict = {},
        items: list[Options] = [],
    ):
        return [options, point, extra, items]

    with serving(run) as client:
        data = {
            "options": '{"size": 2}',
            "point": '{"x": 3}',
            "extra": '{"a": [1]}',
            "items": '[{"size": 4}]',
        }
        full = client.post("/run", files={"file": b"x"}, data=data)
        least = client.post("/run", files={"file": b"x"}, data={"options": "{}"})
        wrong = client.post("/run", files={"file": b"x"}, data={"options": '{"size": "x"}', "point": "{"})
    assert full.json() == [{"size": 2, "tags": []}, {"x": 3}, {"a": [1]}, [{"size": 4, "tags": []}]]
    assert least.json() == [{"size": 1, "tags": []}, None, {}, []]
    assert problems(wrong) == [
        (("body", "options", "size"), "int_parsing"),
        (("body", "point"), "json_invalid"),
    ]


def test_one_model_beside_a_file_is_spread_over_the_fields():
    async def run(self, file: UploadFile, options: Options):
        return [options.size, options.tags]

    with serving(run) as client:
        assert client.post("/run", files={"file": b"x"}, data={"size": "2", "tags": ["a", "b"]}).json() == [
            2,
            ["a", "b"],
        ]
        assert client.post("/run", files={"file": b"x"}).json() == [1, []]
        assert problems(client.post("/run", files={"file": b"x"}, data={"size": "x"})) == [
            (("body", "size"), "int_parsing")
        ]


def test_one_dict_beside_a_file_takes_the_other_fields():
    async def run(self, file: UploadFile, data: dict):
        return data

    with serving(run) as client:
        assert client.post("/run", files={"file": b"x"}, data={"a": "1", "b": ["2", "3"]}).json() == {
            "a": "1",
            "b": ["2", "3"],
        }


def test_constraints_of_fields_are_kept():
    async def run(
        self,
        file: UploadFile,
        *,
        count: Annotated[int, Field(ge=1)] = 1,
        limit: int = Field(5, le=10),
        word: str = Field(...),
        _private: str = "p",
        json: int = 0,
    ):
        return [count, limit, word, _private, json]

    with serving(run) as client:
        data = {"word": "w", "_private": "q", "json": "3"}
        assert client.post("/run", files={"file": b"x"}, data=data).json() == [1, 5, "w", "q", 3]
        assert sorted(
            problems(client.post("/run", files={"file": b"x"}, data={"count": "0", "limit": "11"}))
        ) == [
            (("body", "count"), "greater_than_equal"),
            (("body", "limit"), "less_than_equal"),
            (("body", "word"), "missing"),
        ]


def test_files_stand_beside_path_and_query():
    chute = new_chute()

    @chute.cord("/users/{user}/picture", method="PUT")
    async def run(self, user: int, picture: UploadFile, title: str = "t"):
        return [user, picture.filename, title]

    with TestClient(chute) as client:
        assert client.put("/users/7/picture?title=query", files={"picture": PNG}).json() == [7, "a.png", "t"]


def test_an_uploaded_file_is_closed_after_the_answer():
    kept = []

    async def run(self, file: UploadFile):
        kept.append(file)

    with serving(run) as client:
        client.post("/run", files={"file": b"x"})
    assert kept[0].file.closed
