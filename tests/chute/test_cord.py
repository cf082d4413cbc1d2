import dataclasses
import inspect

import pytest
from fastapi import APIRouter
from pydantic import BaseModel

from chutes.chute import Cord
from chutes.chute.cord import METHODS, ROUTE_OPTIONS, normal_path
from chutes.errors import DefinitionError, DuplicatePath, InvalidPath
from support.serving import new_chute


class Prompt(BaseModel):
    prompt: str


async def generate(self, prompt: str) -> str: ...


def cord_of(*arguments, function=generate, **options) -> Cord:
    chute = new_chute()
    chute.cord(*arguments, **options)(function)
    return chute.cords[0]


def test_the_options_for_the_route_are_taken_by_fastapi():
    assert set(inspect.signature(APIRouter.add_api_route).parameters) >= ROUTE_OPTIONS


def test_a_cord_has_the_defaults_of_the_reference():
    assert cord_of("/generate") == Cord(function=generate, name="generate", path="/generate")
    cord = cord_of("/generate")
    assert (cord.method, cord.stream, cord.output_content_type) == ("POST", False, "application/json")
    assert (cord.input_schema, cord.output_schema, cord.minimal_input_schema) == (None, None, None)


def test_every_parameter_of_the_reference_goes_by_name_and_in_its_order():
    by_name = cord_of(
        public_api_path="/generate",
        method="PUT",
        input_schema=Prompt,
        output_schema=Prompt,
        minimal_input_schema=Prompt,
        output_content_type="image/png",
        stream=True,
    )
    assert by_name == cord_of("/generate", "PUT", Prompt, Prompt, Prompt, "image/png", True)
    assert (by_name.method, by_name.stream, by_name.output_content_type) == ("PUT", True, "image/png")


def test_the_public_sdks_parameters_are_accepted():
    cord = cord_of(
        "/chat", passthrough=True, passthrough_path="/v1/chat", passthrough_port=8001, provision_timeout=180
    )
    assert (cord.passthrough, cord.passthrough_path, cord.passthrough_port) == (True, "/v1/chat", 8001)
    assert cord_of(path="/internal").path == "/internal"
    assert cord_of("/public", path="/internal").path == "/public"


def test_a_cord_without_a_path_answers_under_its_functions_name():
    assert cord_of().path == "/generate"


def test_a_cord_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        cord_of("/generate").path = "/other"
    with pytest.raises(TypeError):
        cord_of("/generate", tags=["a"]).route_options["tags"] = []


@pytest.mark.parametrize("method", ["GET", "get", "Post", *METHODS])
def test_a_method_is_any_http_verb_in_any_case(method):
    assert cord_of("/generate", method=method).method == method.upper()


@pytest.mark.parametrize("method", ["FETCH", "", None, 7, "GET, POST"])
def test_an_unknown_method_is_refused_with_the_known_ones(method):
    with pytest.raises(DefinitionError, match=r"Invalid method .* for cord 'generate'.*GET, POST"):
        cord_of("/generate", method=method)


def test_the_deprecated_method_wins_and_warns_at_the_users_line():
    with pytest.warns(DeprecationWarning, match="public_api_method is deprecated.*method='get'") as caught:
        cord = cord_of("/generate", method="PUT", public_api_method="get")
    assert cord.method == "GET"
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/chat/completions", "/a.b-c_d~e", "/users/{user_id}", "/files/{name:path}", "/{a}/{b:int}"],
)
def test_a_path_may_have_placeholders(path):
    assert cord_of(path).path == path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("generate", "for example '/generate'"),
        ("", "for example '/generate'"),
        (7, "for example '/generate'"),
        ("/a b", "URL characters"),
        ("/a?b=1", "URL characters"),
        ("/a#b", "URL characters"),
        ("//a", "URL characters"),
        ("/{}", "URL characters"),
        ("/{a", "URL characters"),
        ("/{a:number}", "URL characters"),
        ("/{a}/{a}", "a name of its own"),
        ("/livez", "answer the probes"),
        ("/readyz/", "answer the probes"),
    ],
)
def test_a_path_that_no_request_can_have_is_refused(path, says):
    with pytest.raises(InvalidPath) as caught:
        cord_of(path)
    assert str(caught.value).startswith(f"Invalid path {path!r} for cord 'generate'.")
    assert says in str(caught.value)


def test_the_advice_for_a_placeholder_has_single_braces():
    with pytest.raises(InvalidPath, match=r"such as '/users/\{user_id\}'\.$"):
        cord_of("/{user id}")


@pytest.mark.parametrize(
    ("one", "other"),
    [("/a", "/a/"), ("/u/{x}", "/u/{y}"), ("/u/{x}", "/u/{y:str}"), ("/", "/")],
)
def test_paths_that_only_differ_in_names_or_a_slash_are_one(one, other):
    assert normal_path(one) == normal_path(other)


@pytest.mark.parametrize(("one", "other"), [("/a", "/b"), ("/u/{x}", "/u/{x:int}"), ("/a", "/A")])
def test_other_paths_are_two(one, other):
    assert normal_path(one) != normal_path(other)


def test_the_same_verb_and_path_twice_is_refused():
    chute = new_chute()
    chute.cord("/users/{name}")(generate)

    async def again(self, name: str): ...

    with pytest.raises(DuplicatePath, match=r"The cord 'generate' answers POST /users/\{name\} already"):
        chute.cord("/users/{user}/")(again)
    chute.cord("/users/{user}", method="GET")(again)
    assert [cord.method for cord in chute.cords] == ["POST", "GET"]


def test_a_refused_cord_leaves_no_trace():
    chute = new_chute()
    chute.cord("/a")(generate)

    async def again(self): ...

    with pytest.raises(DuplicatePath):
        chute.cord("/a")(again)
    assert len(chute.cords) == 1
    with pytest.raises(AttributeError):
        chute.again  # noqa: B018 - reading it is the test


def test_two_cords_share_a_path_when_exactly_one_streams():
    chute = new_chute()

    async def plain(self): ...
    async def stream(self):
        yield ""

    async def third(self): ...

    chute.cord("/chat")(plain)
    chute.cord("/chat", stream=True)(stream)
    with pytest.raises(DuplicatePath):
        chute.cord("/chat")(third)
    with pytest.raises(DuplicatePath):
        chute.cord("/chat", stream=True)(third)


async def async_generator(self):
    yield 1


def generator(self):
    yield 1


@pytest.mark.parametrize("function", [async_generator, generator])
def test_a_generator_says_that_it_streams(function):
    with pytest.raises(DefinitionError, match=r"is a generator.*stream=True"):
        cord_of("/count", function=function)
    assert cord_of("/count", function=function, stream=True).stream


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stream": "yes"}, "Invalid stream 'yes'"),
        ({"on_disconnect": "stop"}, "Invalid on_disconnect 'stop'.*'cancel' or 'finish'"),
        ({"output_content_type": "png"}, "Invalid output_content_type 'png'.*'image/png'"),
        ({"output_content_type": 7}, "Invalid output_content_type 7"),
        ({"output_content_typ": "text/plain"}, "no 'output_content_typ'. Did you mean 'output_content_type'"),
        ({"tag": ["a"]}, "no 'tag'. Did you mean 'tags'"),
        ({"inputschema": Prompt}, "Did you mean 'input_schema'"),
        (
            {"input_schema": "Prompt"},
            "Invalid input_schema 'Prompt' for cord .*Write a type, such as a model",
        ),
        ({"output_schema": [Prompt]}, r"Invalid output_schema \[.*Write a type, such as a model"),
        ({"minimal_input_schema": 5}, "Invalid minimal_input_schema 5"),
        ({"input_schema": Prompt(prompt="a")}, "Write the model itself: input_schema=Prompt"),
    ],
)
def test_a_bad_option_is_refused_with_what_to_write(options, says):
    with pytest.raises(DefinitionError, match=says):
        cord_of("/generate", **options)


@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "image/svg+xml", "audio/*", "a/b"])
def test_a_content_type_may_have_parameters(content_type):
    assert cord_of("/generate", output_content_type=content_type).output_content_type == content_type


def test_options_of_fastapis_route_are_kept():
    cord = cord_of("/generate", tags=["text"], summary="Text", status_code=201)
    assert cord.route_options == {"tags": ["text"], "summary": "Text", "status_code": 201}


def nothing(): ...
def by_keyword(*, prompt): ...


@pytest.mark.parametrize(
    ("function", "written"),
    [(nothing, r"def nothing\(self\)"), (by_keyword, r"def by_keyword\(self, prompt\)")],
)
def test_a_function_without_self_is_refused_with_the_line_to_write(function, written):
    with pytest.raises(DefinitionError, match=rf"takes no chute\. Its first parameter is self: `{written}`"):
        cord_of("/generate", function=function)


def test_what_is_no_function_is_refused():
    with pytest.raises(DefinitionError, match="A cord is a function, not 7"):
        cord_of("/generate", function=7)


def anything(*args): ...
def other_name(app, prompt): ...


@pytest.mark.parametrize("function", [anything, other_name])
def test_the_first_parameter_may_have_any_name(function):
    assert cord_of("/generate", function=function).function is function
