"""Parameters that FastAPI fills stand beside those of the body."""

from typing import Annotated

import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
    UploadFile,
)
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyHeader, SecurityScopes
from pydantic import BaseModel

from chutes.testing import TestClient
from support.serving import new_chute, serving


class Prompt(BaseModel):
    text: str


def problems(response):
    assert response.status_code == 422, response.text
    return [(tuple(one["loc"]), one["type"]) for one in response.json()["detail"]]


async def request_and_prompt(self, prompt: str, request: Request):
    return [prompt, request.method, (await request.json())["prompt"]]


async def request_and_model(self, request: Request, params: Prompt, response: Response):
    response.headers["X-Seen"] = request.headers["x-sent"]
    return params.text


def test_the_request_stands_beside_parameters():
    with serving(request_and_prompt) as client:
        assert client.post("/run", json={"prompt": "p"}).json() == ["p", "POST", "p"]


def test_request_and_response_stand_beside_a_model():
    with serving(request_and_model) as client:
        response = client.post("/run", json={"text": "t"}, headers={"X-Sent": "s"})
    assert (response.json(), response.headers["X-Seen"]) == ("t", "s")


def test_only_the_request():
    async def run(self, request: Request):
        return (await request.body()).decode()

    with serving(run) as client:
        assert client.post("/run", content=b"raw").json() == "raw"


def test_the_connection_and_an_optional_request():
    async def run(self, connection: HTTPConnection, request: Request = None, also: Request | None = None):
        return [connection.url.path, request.url.path, also.url.path]

    with serving(run) as client:
        assert client.post("/run").json() == ["/run"] * 3


@pytest.mark.parametrize("also_by_name", [False, True])
def test_background_tasks_run_after_the_answer(also_by_name):
    done = []

    async def plain(self, tasks: BackgroundTasks):
        tasks.add_task(done.append, "ran")
        return list(done)

    async def with_prompt(self, prompt: str, tasks: BackgroundTasks):
        tasks.add_task(done.append, "ran")
        return list(done)

    with serving(with_prompt if also_by_name else plain) as client:
        assert client.post("/run", json={"prompt": "p"}).json() == []
    assert done == ["ran"]


async def headers_and_cookies(
    self,
    prompt: str,
    *,
    user_agent: Annotated[str, Header()],
    x_count: Annotated[int, Header(ge=1)] = 1,
    session: str | None = Cookie(None),
    limit: int = Query(5),
):
    return [prompt, user_agent, x_count, session, limit]


def test_headers_cookies_and_query():
    with serving(headers_and_cookies) as client:
        headers = {"User-Agent": "me", "X-Count": "2", "Cookie": "session=s"}
        assert client.post("/run?limit=7", json={"prompt": "p"}, headers=headers).json() == [
            "p",
            "me",
            2,
            "s",
            7,
        ]
        assert problems(client.post("/run", json={}, headers={"X-Count": "0"})) == [
            (("header", "x-count"), "greater_than_equal"),
            (("body", "prompt"), "missing"),
        ]


def current_user(authorization: Annotated[str, Header()] = ""):
    if not authorization:
        raise HTTPException(401, "Who are you?")
    return authorization


async def depends_and_names(self, prompt: str, user: Annotated[str, Depends(current_user)], count: int = 1):
    return [prompt, user, count]


async def depends_and_model(self, params: Prompt, user: str = Depends(current_user)):
    return [params.text, user]


async def depends_and_dict(self, data: dict, user: str = Depends(current_user)):
    return [data, user]


async def depends_alone(self, user: Annotated[str, Depends(current_user)]):
    return user


@pytest.mark.parametrize(
    ("function", "body", "result"),
    [
        (depends_and_names, {"prompt": "p"}, ["p", "bob", 1]),
        (depends_and_model, {"text": "t"}, ["t", "bob"]),
        (depends_and_dict, {"a": 1}, [{"a": 1}, "bob"]),
        (depends_alone, {"a": 1}, "bob"),
    ],
)
def test_dependencies(function, body, result):
    with serving(function) as client:
        assert client.post("/run", json=body, headers={"Authorization": "bob"}).json() == result
        response = client.post("/run", json=body)
    assert (response.status_code, response.json()) == (401, {"detail": "Who are you?"})


def test_odd_names_stand_beside_a_dependency():
    async def run(self, json: str, copy: int, _x: int, user: Annotated[str, Depends(current_user)]):
        return [json, copy, _x, user]

    with serving(run) as client:
        body = {"json": "j", "copy": 1, "_x": 2}
        assert client.post("/run", json=body, headers={"Authorization": "bob"}).json() == ["j", 1, 2, "bob"]


def test_a_dependency_of_the_cord_itself_leaves_its_parameters_by_name():
    async def run(self, prompt: str, _x: int = 1, json: str = "j"):
        return [prompt, _x, json]

    with serving(run, dependencies=[Depends(current_user)]) as client:
        headers = {"Authorization": "bob"}
        assert client.post("/run", json={"prompt": "p"}, headers=headers).json() == ["p", 1, "j"]
        assert client.post("/run", json={"prompt": "p"}).status_code == 401


def test_a_dependency_that_reads_the_body_leaves_the_others_by_name():
    def tenant(tenant: Annotated[str, Body(embed=True)]):
        return tenant.upper()

    async def run(self, prompt: str, tenant: Annotated[str, Depends(tenant)], count: int = 1):
        return [prompt, tenant, count]

    with serving(run) as client:
        assert client.post("/run", json={"prompt": "p", "tenant": "t"}).json() == ["p", "T", 1]


def test_a_dependency_of_the_chute_that_reads_the_body_leaves_the_others_by_name():
    seen = []

    def tenant(tenant: Annotated[str, Body(embed=True)]):
        seen.append(tenant)

    async def run(self, prompt: str, count: int = 1):
        return [prompt, count]

    with serving(run, chute=new_chute(dependencies=[Depends(tenant)])) as client:
        assert client.post("/run", json={"prompt": "p", "tenant": "t"}).json() == ["p", 1]
        assert client.post("/run", json={"prompt": "p"}).json()["detail"][0]["loc"] == ["body", "tenant"]
    assert seen == ["t"]


def test_a_dependency_with_yield_ends_after_the_answer():
    events = []

    async def session():
        events.append("open")
        yield "session"
        events.append("closed")

    async def run(self, session: Annotated[str, Depends(session)]):
        events.append("run")
        return session

    with serving(run) as client:
        assert client.post("/run").json() == "session"
    assert events == ["open", "run", "closed"]


def test_security_and_its_scopes():
    key = APIKeyHeader(name="X-Token")

    def checked(scopes: SecurityScopes, token: Annotated[str, Security(key)]):
        return f"{token}:{scopes.scope_str}"

    async def run(self, prompt: str, who: Annotated[str, Security(checked, scopes=["write"])]):
        return [prompt, who]

    with serving(run) as client:
        assert client.post("/run", json={"prompt": "p"}, headers={"X-Token": "t"}).json() == ["p", "t:write"]
        assert client.post("/run", json={"prompt": "p"}).status_code in (401, 403)


async def body_alone(self, prompt: Annotated[str, Body()]):
    return prompt


async def body_embedded(self, prompt: Annotated[str, Body(embed=True)]):
    return prompt


async def body_and_names(self, prompt: str, note: str = Body("none"), count: int = 1):
    return [prompt, note, count]


async def raw_body(self, data: bytes = Body(media_type="application/octet-stream")):
    return len(data)


@pytest.mark.parametrize(
    ("function", "sent", "result"),
    [
        (body_alone, {"json": "text"}, "text"),
        (body_embedded, {"json": {"prompt": "text"}}, "text"),
        (body_and_names, {"json": {"prompt": "p", "note": "n"}}, ["p", "n", 1]),
        (body_and_names, {"json": {"prompt": "p", "count": 3}}, ["p", "none", 3]),
        (raw_body, {"content": b"\xff\x00", "headers": {"content-type": "application/octet-stream"}}, 2),
    ],
)
def test_body_markers_mean_what_they_mean_to_fastapi(function, sent, result):
    with serving(function) as client:
        assert client.post("/run", **sent).json() == result


def test_everything_at_once():
    chute = new_chute()

    @chute.cord("/users/{user}/notes")
    async def notes(
        self,
        user: int,
        text: str,
        request: Request,
        response: Response,
        tasks: BackgroundTasks,
        who: Annotated[str, Depends(current_user)],
        limit: Annotated[int, Query()] = 3,
        user_agent: Annotated[str, Header()] = "",
        *rest,
        tags: list[str] = [],
        **more,
    ):
        response.status_code = 201
        tasks.add_task(lambda: None)
        return [user, text, request.method, who, limit, user_agent, rest, tags, more]

    with TestClient(chute, headers={"Authorization": "bob", "User-Agent": "me"}) as client:
        response = client.post("/users/7/notes?limit=4", json={"text": "t", "tags": ["a"]})
    assert (response.status_code, response.json()) == (201, [7, "t", "POST", "bob", 4, "me", [], ["a"], {}])


def test_a_get_takes_injected_parameters_too():
    async def run(self, word: str, request: Request, who: Annotated[str, Depends(current_user)]):
        return [word, request.url.query, who]

    with serving(run, method="GET") as client:
        assert client.get("/run?word=w", headers={"Authorization": "bob"}).json() == ["w", "word=w", "bob"]


def test_a_file_beside_a_dependency_and_a_field():
    async def run(
        self, file: UploadFile, request: Request, who: Annotated[str, Depends(current_user)], lang: str = "de"
    ):
        return [file.size, request.method, who, lang]

    with serving(run) as client:
        response = client.post(
            "/run", files={"file": b"123"}, data={"lang": "en"}, headers={"Authorization": "bob"}
        )
    assert response.json() == [3, "POST", "bob", "en"]


def test_cached_dependencies_and_overrides_of_the_app_act_on_cords():
    chute = new_chute()
    chute.app.dependency_overrides[current_user] = lambda: "override"
    with serving(depends_alone, chute=chute) as client:
        assert client.post("/run").json() == "override"
