import datetime as dt
import logging
import re
import subprocess
import sys

import pytest
from fastapi import FastAPI

import chutes
import chutes.chute
from chutes.chute import Chute
from chutes.errors import DefinitionError, DuplicateName
from chutes.testing import TestClient
from support.serving import new_chute, serving

PROTECTED = ["app", "config", "logger", "jobs", "cords", "run_local", "slot"]
DECORATORS = ["cord", "job", "websocket", "on_startup", "on_shutdown"]


def test_the_names_of_the_package_are_one_object_each():
    assert chutes.Chute is chutes.chute.Chute is Chute
    assert chutes.NodeSelector is chutes.chute.NodeSelector


def test_the_logger_is_named_for_the_chute():
    logger = new_chute(username="acme", name="text-generator").logger
    assert isinstance(logger, logging.Logger)
    assert logger.name == "chutes.acme.text-generator"


def test_making_a_chute_configures_no_logging():
    code = (
        "import logging\n"
        "from chutes import Chute\n"
        "chute = Chute('acme', 'probe', 'python:3.11')\n"
        "chute.logger, chute.app\n"
        "loggers = [logging.getLogger(), logging.getLogger('chutes'), chute.logger]\n"
        "print([(one.handlers, one.disabled, one.propagate) for one in loggers], logging.getLogger('chutes').level)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == f"{[([], False, True)] * 3} 0"


def test_the_repr_says_what_the_chute_has():
    chute = new_chute()
    chute.cord("/a")(lambda self: 1)
    assert repr(chute) == "<Chute acme/probe: 1 cords, 0 jobs>"


@pytest.mark.parametrize("name", [*PROTECTED, *DECORATORS])
def test_a_protected_name_cannot_be_assigned(name):
    chute = new_chute()
    with pytest.raises(AttributeError, match=rf"'{name}' belongs to the chute.*self\.my_{name}"):
        setattr(chute, name, 1)
    setattr(chute, f"my_{name}", 1)


@pytest.mark.parametrize("name", [*PROTECTED, *DECORATORS])
def test_a_protected_name_cannot_be_deleted(name):
    chute = new_chute()
    with pytest.raises(AttributeError):
        delattr(chute, name)


def test_state_is_set_read_and_deleted_like_that_of_any_object():
    chute = new_chute()
    assert not hasattr(chute, "model")
    chute.model = "gpt2"
    chute._private = 1
    chute.state = {"users": "own"}
    assert (chute.model, chute._private, chute.state) == ("gpt2", 1, {"users": "own"})
    del chute.model
    assert not hasattr(chute, "model")


def test_self_is_the_chute_in_hooks_cords_and_sockets():
    chute = new_chute()
    seen = []

    @chute.on_startup()
    async def start(self):
        seen.append(self)

    @chute.cord("/run")
    def run(self):
        seen.append(self)

    @chute.websocket("/talk")
    async def talk(self, websocket):
        seen.append(self)
        await websocket.accept()

    @chute.on_shutdown()
    def stop(self):
        seen.append(self)

    with TestClient(chute) as client:
        client.post("/run")
        with client.websocket_connect("/talk"):
            pass
    assert len(seen) == 4
    assert all(one is chute for one in seen)


@pytest.mark.parametrize(
    "decorate",
    [
        lambda chute: chute.cord("/run"),
        lambda chute: chute.job(),
        lambda chute: chute.websocket("/talk"),
        lambda chute: chute.on_startup(),
        lambda chute: chute.on_shutdown(priority=1),
    ],
    ids=DECORATORS,
)
def test_a_decorator_returns_the_function_unchanged(decorate):
    async def function(self): ...

    before = dict(vars(function))
    assert decorate(new_chute())(function) is function
    assert vars(function) == before


@pytest.mark.parametrize("decorator", DECORATORS)
def test_a_bare_decorator_says_that_it_takes_parentheses(decorator):
    def function(self): ...

    with pytest.raises(
        DefinitionError,
        match=rf"Write @chute\.{decorator}\(.*with the parentheses, not @chute\.{decorator}\.",
    ):
        getattr(new_chute(), decorator)(function)


def test_one_function_may_be_several_cords():
    chute = new_chute()

    @chute.cord("/a")
    @chute.cord("/b", method="GET")
    async def both(self): ...

    assert [(cord.path, cord.method) for cord in chute.cords] == [("/b", "GET"), ("/a", "POST")]


def test_a_second_job_of_one_name_is_refused():
    chute = new_chute()

    @chute.job(name="nightly")
    async def first(self): ...

    with pytest.raises(DuplicateName, match="A job named 'nightly' exists already"):

        @chute.job(name="nightly")
        async def second(self): ...

    assert list(chute.jobs) == ["nightly"]
    assert chute.jobs["nightly"].function is first


@pytest.mark.parametrize(
    "decorate",
    [
        lambda chute: chute.cord("/other"),
        lambda chute: chute.job("other"),
        lambda chute: chute.websocket("/talk"),
        lambda chute: chute.on_startup(),
    ],
    ids=["cord", "job", "websocket", "on_startup"],
)
def test_two_functions_of_one_name_warn_at_the_users_line(decorate):
    chute = new_chute()

    async def twice(self): ...

    chute.cord("/first")(twice)

    async def twice(self): ...

    with pytest.warns(
        UserWarning, match="Two functions are named 'twice': self.twice is the later one"
    ) as caught:
        decorate(chute)(twice)
    assert caught[0].filename == __file__
    assert chute.twice.__func__ is twice


def test_cords_and_jobs_cannot_be_changed_from_outside():
    chute = new_chute()
    assert chute.cords == ()
    with pytest.raises(TypeError):
        chute.jobs["x"] = 1


def test_the_app_is_a_fastapi_made_once():
    chute = new_chute()
    assert isinstance(chute.app, FastAPI)
    assert chute.app is chute.app


def test_cords_and_sockets_written_after_the_first_use_of_the_app_are_served_too():
    chute = new_chute()

    @chute.cord("/early")
    async def early(self):
        return "early"

    @chute.app.get("/own")
    async def own():
        return "own"

    async def late(self):
        return "late"

    with serving(late, "/late", chute=chute) as client:
        for path in ("/early", "/late"):
            assert client.post(path).json() == path[1:]
        assert client.get("/own").json() == "own"

        @chute.cord("/while-running")
        async def newest(self):
            return "newest"

        assert client.post("/while-running").json() == "newest"


def test_decorators_of_the_app_are_reached_through_the_chute():
    chute = new_chute()

    @chute.get("/own")
    def own():
        return "own"

    @chute.middleware("http")
    async def mark(request, call_next):
        response = await call_next(request)
        response.headers["X-Mark"] = "yes"
        return response

    with TestClient(chute) as client:
        response = client.get("/own")
    assert (response.json(), response.headers["X-Mark"]) == ("own", "yes")


@pytest.mark.parametrize(
    ("option", "field", "shown"),
    [
        ({"name": "probe"}, "title", "probe"),
        ({"tagline": "Short"}, "summary", "Short"),
        ({"readme": "# Long"}, "description", "# Long"),
        ({"revision": "v7"}, "version", "v7"),
        ({"name": "probe", "title": "Own"}, "title", "Own"),
        ({"readme": "# Long", "description": "Own"}, "description", "Own"),
        ({"tagline": "Short", "summary": "Own"}, "summary", "Own"),
        ({"revision": "v7", "version": "Own"}, "version", "Own"),
    ],
)
def test_fastapi_gets_its_title_and_texts_from_the_chute(option, field, shown):
    app = new_chute(**option).app
    assert getattr(app, field) == shown
    assert app.openapi()["info"][field] == shown


async def test_the_health_check_says_healthy_and_when():
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    body = await new_chute().health_check()
    assert list(body) == ["status", "timestamp"]
    assert body["status"] == "healthy"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert before <= dt.datetime.fromisoformat(body["timestamp"])


async def test_the_health_check_can_be_replaced():
    chute = new_chute()

    async def own():
        return {"status": "healthy", "model_loaded": True}

    chute.health_check = own
    assert chute.health_check is own
    assert await chute.health_check() == {"status": "healthy", "model_loaded": True}


def test_an_attribute_error_while_the_app_is_made_is_not_taken_for_a_missing_app():
    chute = new_chute(openapi_url=7)
    with pytest.raises(DefinitionError, match="The chute cannot be served: 'int' object has no attribute"):
        chute.app  # noqa: B018 - reading it is the test


def test_an_attribute_error_in_a_hint_is_not_taken_for_a_missing_name():
    chute = new_chute()

    @chute.cord("/run")
    async def run(self, when: "dt.nope"): ...

    with pytest.raises(DefinitionError, match=r"hint of cord 'run' cannot be resolved.*nope"):
        chute.app  # noqa: B018 - reading it is the test


def test_a_hint_with_an_unknown_name_says_which_and_where_to_define_it():
    chute = new_chute()

    @chute.cord("/run")
    async def run(self, prompt: "Unknown"): ...  # noqa: F821 - the name is unknown on purpose

    with pytest.raises(DefinitionError, match=r"cord 'run'.*Define 'Unknown' at the top of the module"):
        chute.app  # noqa: B018 - reading it is the test
