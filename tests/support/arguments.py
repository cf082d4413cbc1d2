"""Models that cords take, and calls of a cord with one body."""

from pydantic import BaseModel, Field, field_validator

from support.serving import serving


class Prompt(BaseModel):
    text: str
    limit: int = Field(10, ge=1, le=100)

    @field_validator("text")
    @classmethod
    def not_blank(cls, text):
        if not text.strip():
            raise ValueError("is blank")
        return text


class Image(BaseModel):
    url: str


def call(function, body=None, *, method="POST", **options):
    with serving(function, method=method, **options) as client:
        if isinstance(body, bytes):
            headers = {"content-type": "application/json"}
            return client.request(method, "/run", content=body, headers=headers)
        return client.request(method, "/run", **({} if body is None else {"json": body}))


def problems(response):
    assert response.status_code == 422
    return [(tuple(one["loc"]), one["type"]) for one in response.json()["detail"]]
