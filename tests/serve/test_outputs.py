"""What a cord returns → what the client gets."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import io
import json
import pathlib
import types
import uuid
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import pytest
from fastapi import Depends, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from support.serving import new_chute, serving

UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Answer(BaseModel):
    text: str
    used: int = 1
    top_k: int = Field(5, alias="topK")


class LongAnswer(Answer):
    secret: str = "s"


@dataclasses.dataclass
class Point:
    x: int
    label: str = "p"


class Options(TypedDict):
    name: str


class Colour(enum.Enum):
    RED = "red"


class Pair(NamedTuple):
    a: int
    b: int


def answer_of(result, *, chute=None, **options):
    async def run(self):
        if isinstance(result, BaseException):
            raise result
        return result

    with serving(run, chute=chute, **options) as client:
        return client.request(options.get("method", "POST"), "/run")


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (Answer(text="t"), {"text": "t", "used": 1, "topK": 5}),
        ([Answer(text="t")], [{"text": "t", "used": 1, "topK": 5}]),
        ({"answer": Answer(text="t")}, {"answer": {"text": "t", "used": 1, "topK": 5}}),
        (Point(1), {"x": 1, "label": "p"}),
        (Options(name="n"), {"name": "n"}),
        ({"a": 1, "b": [None, True, 1.5, "ü"]}, {"a": 1, "b": [None, True, 1.5, "ü"]}),
        ({1: "int", Colour.RED: "enum", UUID: "uuid"}, {"1": "int", "red": "enum", str(UUID): "uuid"}),
        ("text", "text"),
        ("", ""),
        (7, 7),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ((1, 2), [1, 2]),
        (Pair(1, 2), [1, 2]),
        ({3}, [3]),
        (collections.deque([1]), [1]),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (Colour.RED, "red"),
        (UUID, str(UUID)),
        (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2024-01-02T03:04:05Z"),
        (dt.timedelta(seconds=90), "PT1M30S"),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (b"bytes", "bytes"),
        (2**70, 2**70),
        ([float("nan"), float("inf"), -float("inf")], [None, None, None]),
        (["\ud83d", {"a": "\ud83d"}], ["\ud83d", {"a": "\ud83d"}]),
        (types.MappingProxyType({"a": {"b": 1}.keys()}), {"a": ["b"]}),
        (range(2), [0, 1]),
    ],
    ids=repr,
)
def test_values_are_json(result, shown):
    response = answer_of(result)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(response.content) == shown


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ({"vector": np.array([0.5, float("nan")], dtype=np.float32)}, {"vector": [0.5, None]}),
        ([np.float32(0.5), np.int64(3), np.bool_(True)], [0.5, 3, True]),
        (np.float64(1.5), 1.5),
        (np.array("text"), "text"),
        (np.array([], dtype=float), []),
        ((np.arange(2), "x"), [[0, 1], "x"]),
    ],
    ids=repr,
)
def test_arrays_become_lists(result, shown):
    assert answer_of(result).json() == shown


def test_an_array_inside_a_model_becomes_a_list():
    class Embedding(BaseModel):
        vector: Any

    assert answer_of(Embedding(vector=np.array([1.0, 2.0]))).json() == {"vector": [1.0, 2.0]}


def test_anything_with_tolist_becomes_a_list():
    class Tensor:
        def tolist(self):
            return [1, [2]]

    assert answer_of([Tensor()]).json() == [[1, [2]]]


class Unknown:
    def __repr__(self):
        return "<secret thing>"


class Endless:
    def tolist(self):
        return [self]


@pytest.mark.parametrize(
    "result",
    [
        Unknown(),
        {"a": [Unknown()]},
        b"\xff\x00",
        {"a": b"\xff"},
        PIL.Image.new("RGB", (1, 1)),
        Endless(),
        lambda: 1,
    ],
    ids=["object", "nested", "bytes", "nested bytes", "image", "endless", "function"],
)
def test_what_nothing_can_encode_is_500_and_the_log_says_what_to_write(result, caplog):
    response = answer_of(result)
    assert response.status_code == 500
    assert response.json()["detail"] == "Internal Server Error"
    assert "secret" not in response.text
    assert "Cord 'run' returned" in caplog.text
    assert "output_content_type such as 'image/png'" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_list_that_holds_itself_is_500(caplog):
    endless = []
    endless.append(endless)
    assert answer_of(endless).status_code == 500
    assert "Cord 'run' returned" in caplog.text


@pytest.mark.parametrize(
    ("content_type", "result", "content"),
    [
        ("text/plain", "grüße", "grüße".encode()),
        ("text/html; charset=utf-8", "<p>", b"<p>"),
        ("text/csv", b"a,b", b"a,b"),
        ("image/png", b"\x89PNG", b"\x89PNG"),
        ("audio/wav", bytearray(b"RIFF"), b"RIFF"),
        ("application/octet-stream", memoryview(b"\xff"), b"\xff"),
        ("application/octet-stream", b"", b""),
    ],
)
def test_text_and_bytes_are_sent_as_the_cords_content_type(content_type, result, content):
    response = answer_of(result, output_content_type=content_type)
    assert response.content == content
    assert response.headers["content-type"].startswith(content_type)
    assert response.headers["content-length"] == str(len(content))


def test_text_with_half_a_character_pair_is_sent_all_the_same():
    response = answer_of("a\ud83d", output_content_type="text/plain")
    assert response.status_code == 200
    assert response.text.startswith("a")


@pytest.mark.parametrize("content_type", ["text/plain", "image/png"])
def test_other_values_are_json_whatever_the_content_type(content_type):
    response = answer_of({"error": "none"}, output_content_type=content_type)
    assert (response.json(), response.headers["content-type"]) == ({"error": "none"}, "application/json")


def test_json_with_a_name_of_its_own_keeps_it():
    response = answer_of({"a": 1}, output_content_type="application/vnd.acme+json")
    assert (response.json(), response.headers["content-type"]) == ({"a": 1}, "application/vnd.acme+json")
    assert answer_of("text", output_content_type="application/problem+json").content == b'"text"'


@pytest.mark.parametrize(
    ("content_type", "mode", "kind"),
    [
        ("image/png", "RGBA", "PNG"),
        ("image/jpeg", "RGB", "JPEG"),
        ("image/jpeg", "RGBA", "JPEG"),
        ("image/jpeg", "P", "JPEG"),
        ("image/webp", "RGB", "WEBP"),
        ("image/gif", "P", "GIF"),
        ("image/png; q=1", "L", "PNG"),
    ],
)
def test_images_are_encoded_as_the_cords_content_type(content_type, mode, kind):
    response = answer_of(PIL.Image.new(mode, (3, 2)), output_content_type=content_type)
    picture = PIL.Image.open(io.BytesIO(response.content))
    assert (picture.format, picture.size) == (kind, (3, 2))
    assert response.headers["content-type"] == content_type


@pytest.mark.parametrize("content_type", ["text/plain", "image/svg+xml", "image/nonsense", "audio/wav"])
def test_an_image_under_another_content_type_is_500_with_a_text_in_the_log(content_type, caplog):
    assert answer_of(PIL.Image.new("RGB", (1, 1)), output_content_type=content_type).status_code == 500
    assert "returned an image" in caplog.text


@pytest.mark.parametrize(
    ("response", "status", "content_type", "text"),
    [
        (Response(b"\x89PNG", media_type="image/png"), 200, "image/png", None),
        (JSONResponse({"a": 1}, status_code=202), 202, "application/json", '{"a":1}'),
        (PlainTextResponse("plain"), 200, "text/plain; charset=utf-8", "plain"),
        (HTMLResponse("<p>"), 200, "text/html; charset=utf-8", "<p>"),
        (RedirectResponse("/other"), 307, None, ""),
        (Response(status_code=204), 204, None, ""),
    ],
)
def test_responses_are_sent_as_they_are(response, status, content_type, text):
    got = answer_of(response, output_schema=Answer, output_content_type="audio/wav")
    assert (got.status_code, got.headers.get("content-type")) == (status, content_type)
    assert text is None or got.text == text


def test_a_file_response_is_sent_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("content")
    response = answer_of(FileResponse(path, filename="a.txt"))
    assert response.text == "content"
    assert "a.txt" in response.headers["content-disposition"]


async def typed_wrongly(self) -> int:
    return "no number"


def test_a_return_hint_fails_no_request():
    with serving(typed_wrongly) as client:
        assert client.post("/run").json() == "no number"


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ({"text": "t", "secret": "s"}, {"text": "t", "used": 1, "topK": 5}),
        ({"text": "t", "used": "7", "topK": 2}, {"text": "t", "used": 7, "topK": 2}),
        (Answer(text="t", topK=3), {"text": "t", "used": 1, "topK": 3}),
        (LongAnswer(text="t"), {"text": "t", "used": 1, "topK": 5}),
    ],
    ids=["filtered", "converted", "model", "subclass"],
)
def test_an_output_schema_validates_and_filters(result, shown):
    assert answer_of(result, output_schema=Answer).json() == shown


def test_half_a_character_pair_passes_an_output_schema():
    assert answer_of({"text": "a\ud83d"}, output_schema=Answer).json()["text"] == "a\ud83d"


def test_an_output_schema_reads_attributes_of_other_objects():
    class Row:
        text, used, topK = "t", 2, 3  # noqa: N815 - the alias

    assert answer_of(Row(), output_schema=Answer).json() == {"text": "t", "used": 2, "topK": 3}


@pytest.mark.parametrize(
    ("schema", "result", "shown"),
    [
        (list[Answer], [{"text": "t", "x": 1}], [{"text": "t", "used": 1, "topK": 5}]),
        (Point, {"x": "1"}, {"x": 1, "label": "p"}),
        (Options, {"name": "n"}, {"name": "n"}),
        (dict[str, int], {"a": "1"}, {"a": 1}),
        (int, "7", 7),
    ],
    ids=repr,
)
def test_an_output_schema_is_any_type(schema, result, shown):
    assert answer_of(result, output_schema=schema).json() == shown


@pytest.mark.parametrize("result", [{"used": 1}, {"text": "t", "used": "x"}, "text", None, [1]])
def test_what_breaks_the_output_schema_is_500_and_the_log_says_how(result, caplog):
    response = answer_of(result, output_schema=Answer)
    assert (response.status_code, response.json()["detail"]) == (500, "Internal Server Error")
    assert "does not fit its output_schema" in caplog.text


@pytest.mark.parametrize("hint", [list[float], Any])
def test_an_output_schema_takes_arrays(hint):
    class Embedding(BaseModel):
        vector: hint

    response = answer_of({"vector": np.array([1.0, 2.0]), "x": np.array(1)}, output_schema=Embedding)
    assert response.json() == {"vector": [1.0, 2.0]}


def test_a_json_schema_as_output_schema_documents_and_does_not_validate():
    assert answer_of({"a": 1}, output_schema={"type": "string"}).json() == {"a": 1}


def test_the_status_of_the_cord_is_that_of_plain_results():
    assert answer_of({"a": 1}, status_code=201).status_code == 201
    assert answer_of(Response("x", status_code=202), status_code=201).status_code == 202


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status):
    response = answer_of(None, status_code=status, method="DELETE")
    assert (response.status_code, response.content) == (status, b"")


def test_status_headers_and_cookies_of_an_injected_response_are_sent():
    async def run(self, response: Response):
        response.status_code = 418
        response.headers["X-One"] = "1"
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return {"a": 1}

    with serving(run) as client:
        got = client.post("/run")
    assert (got.status_code, got.json(), got.headers["X-One"]) == (418, {"a": 1}, "1")
    assert got.headers["content-type"] == "application/json"
    assert dict(got.cookies) == {"a": "1", "b": "2"}


def test_headers_that_a_dependency_sets_are_sent():
    def mark(response: Response):
        response.headers["X-Mark"] = "yes"

    async def run(self):
        return 1

    with serving(run, dependencies=[Depends(mark)]) as client:
        assert client.post("/run").headers["X-Mark"] == "yes"


class Shouting(JSONResponse):
    media_type = "application/shouting"

    def render(self, content):
        return json.dumps(content).upper().encode()


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"a": "b"}, b'{"A": "B"}'),
        (Answer(text="t"), b'{"TEXT": "T", "USED": 1, "TOPK": 5}'),
        ([np.float32(0.5)], b"[0.5]"),
    ],
    ids=["dict", "model", "array"],
)
def test_the_default_response_class_of_the_app_renders_plain_results(result, content):
    response = answer_of(result, chute=new_chute(default_response_class=Shouting))
    assert (response.content, response.headers["content-type"]) == (content, "application/shouting")


def test_the_default_response_class_renders_what_the_output_schema_leaves():
    response = answer_of(
        {"text": "t", "x": 1}, output_schema=Answer, chute=new_chute(default_response_class=Shouting)
    )
    assert response.content == b'{"TEXT": "T", "USED": 1, "TOPK": 5}'


@pytest.mark.parametrize("options", [{}, {"output_content_type": "text/plain"}])
def test_a_forgotten_await_is_told_and_warns_of_nothing_else(options, caplog):
    async def generate():
        return "text"

    async def run(self):
        return generate()

    with serving(run, **options) as client:
        assert client.post("/run").status_code == 500
    assert "Write `await` before the call: return await …generate(…)." in caplog.text
